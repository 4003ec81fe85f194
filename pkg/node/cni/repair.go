// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/cni/podnet"
)

func (s *Server) mendLoop(ctx context.Context) {
	s.Repair(ctx, time.Now())
	tick := time.NewTicker(repairInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.Repair(ctx, now)
		}
	}
}

// Repair recreates deleted interfaces, forgets attachments whose network namespace no
// longer exists, and removes those whose pod has been gone for minutes. It must not be
// called concurrently.
func (s *Server) Repair(ctx context.Context, now time.Time) {
	if s.told == nil {
		s.told, s.goneSince = map[string]string{}, map[string]time.Time{}
	}
	seen := map[string]bool{}
	for _, r := range s.Attached.All() {
		if ctx.Err() != nil {
			return
		}
		name := r.Plan.Host
		seen[name] = true
		err := s.mendOne(ctx, r, now)
		switch {
		case err == nil:
			delete(s.told, name)
		case s.told[name] != withoutNumbers(err):
			s.told[name] = withoutNumbers(err)
			klog.FromContext(ctx).Error(err, "Cannot repair a proxy's interface; deleting the pod creates it again", "pod", klog.KRef(r.Plan.Namespace, r.Plan.Pod), "interface", name)
		}
	}
	for name := range s.goneSince {
		if !seen[name] {
			delete(s.goneSince, name)
		}
	}
	for name := range s.told {
		if !seen[name] {
			delete(s.told, name)
		}
	}
}

// withoutNumbers returns an error's text without numbers, to recognize it again:
// descriptors in it differ each time.
func withoutNumbers(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, err.Error())
}

func (s *Server) mendOne(ctx context.Context, r Attachment, now time.Time) error {
	name := r.Plan.Host
	defer s.locks.lock(name)()
	if _, known := s.Attached.Get(name); !known {
		return nil
	}
	logger := klog.FromContext(ctx).WithValues("pod", klog.KRef(r.Plan.Namespace, r.Plan.Pod), "interface", name)
	if s.Resolver.Gone(r.Plan.Namespace, r.Plan.Pod, types.UID(r.Plan.PodUID)) {
		since, seen := s.goneSince[name]
		if !seen {
			s.goneSince[name] = now
			return nil
		}
		if now.Sub(since) < goneGrace {
			return nil
		}
		logger.Info("Removed the interface of a deleted pod")
		return errors.Join(s.Worker.Detach("", r.Attachment), s.Attached.Delete(name))
	}
	delete(s.goneSince, name)
	if s.Attached.Live(name) {
		return nil
	}
	id, err := podnet.NetnsID(r.Netns)
	if errors.Is(err, fs.ErrNotExist) || err == nil && id != r.NetnsID {
		logger.V(1).Info("Removed an attachment whose network namespace no longer exists")
		return s.Attached.Delete(name)
	}
	if err != nil {
		return err
	}
	index, err := s.Worker.Attach(r.Netns, r.Interface, &r.Plan)
	if err != nil {
		return fmt.Errorf("the interface was deleted, and recreating it, which requires CAP_SYS_ADMIN and the mount of /run/netns, failed: %w", err)
	}
	r.Index = index
	logger.Info("Recreated a proxy's interface that was deleted")
	return s.Attached.Put(r)
}
