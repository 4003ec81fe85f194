// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// attempt is how long one try of a write may take.
const attempt = 8 * time.Second

// verdict is the meaning of the response to a write.
type verdict int

const (
	// done is an answer that the write has its effect, again one after which to try again, and
	// refused one that a valid write must not get.
	done verdict = iota
	again
	refused
)

// judgeWrite interprets the response to a write that may have been sent before.
func judgeWrite(err error) verdict {
	var status apierrors.APIStatus
	var network net.Error
	switch {
	case err == nil:
		return done
	case apierrors.IsConflict(err), apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsInternalError(err):
		return again
	case !errors.As(err, &status):
		// No response from the server at all.
		return again
	case errors.As(err, &network), utilnet.IsConnectionRefused(err), utilnet.IsConnectionReset(err), errors.Is(err, context.DeadlineExceeded):
		return again
	case strings.Contains(err.Error(), "no free address"), strings.Contains(err.Error(), "object is being deleted"):
		// Other tenants have all, or have just released them; the former object has not gone yet.
		return again
	}
	return refused
}

// write repeats a write until it has its effect. A write that is refused, or takes longer than it
// may, is a violation.
func (a *actor) write(ctx context.Context, what string, f func(context.Context) error) error {
	begin := time.Now()
	var told bool
	for {
		trial, cancel := context.WithTimeout(ctx, attempt)
		err := f(trial)
		cancel()
		a.writes.Add(1)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.retries.Add(1)
		verdict := judgeWrite(err)
		if !told && verdict == refused {
			told = true
			a.oracle.wrong("a valid write was refused", what, time.Now(), err.Error())
		}
		if undisturbed := !a.oracle.disturbed(begin) && !a.oracle.disturbed(time.Now()); !told && undisturbed && time.Since(begin) > a.oracle.bound {
			told = true
			a.oracle.wrong("a write did not succeed in time", what, time.Now(), err.Error())
		}
		if told && time.Since(begin) > 10*a.oracle.bound {
			return fmt.Errorf("%s: %w", what, err)
		}
		pause(ctx, 300*time.Millisecond)
	}
}
