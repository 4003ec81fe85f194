// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/validate"
)

const (
	// validatorAuto selects an Envoy that this program starts if it finds one, and
	// validatorOff disables validation.
	validatorAuto = "auto"
	validatorOff  = "off"
	unixScheme    = "unix:"

	// validatorMemory limits the memory of an Envoy that validates configurations.
	validatorMemory = 512 << 20
)

func validValidator(value string) error {
	if value == validatorAuto || value == validatorOff || strings.HasPrefix(value, unixScheme) && filepath.IsAbs(strings.TrimPrefix(value, unixScheme)) {
		return nil
	}
	return fmt.Errorf("--validator is %q: set %s, %s, or %s and the absolute path of the socket of \"epic-operator validator\"", value, validatorAuto, validatorOff, unixScheme)
}

// checker returns the checker that validates configurations before proxies get them, and
// what has to run for it; nil if there is none.
func (o *options) checker(ctx context.Context) (validate.Checker, everywhere) {
	logger := klog.FromContext(ctx)
	idle := func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
	switch {
	case o.validator == validatorOff:
		return nil, idle
	case o.validator != validatorAuto:
		return validate.NewClient(strings.TrimPrefix(o.validator, unixScheme)), idle
	}
	path, err := find(cmp.Or(o.envoy, defaultEnvoy))
	if err != nil {
		logger.Info("Configurations are not checked before proxies get them, because Envoy was not found: set --envoy or --validator, or --validator=off if checks are not needed", "reason", err.Error())
		return nil, idle
	}
	v := validate.New(validate.Options{Envoy: path, MaxMemory: validatorMemory})
	return v, standing(v)
}

// validatorStart is how long proxies wait for the start of the validator when the
// operator starts. They keep their configurations.
const validatorStart = 5 * time.Second

// started returns a check that passes once the validator responds, or has had the time
// to.
func started(ctx context.Context, c validate.Checker) func() bool {
	var done atomic.Bool
	waiter, ok := c.(interface {
		Connected(ctx context.Context) bool
	})
	if !ok {
		return func() bool { return true }
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, validatorStart)
		defer cancel()
		waiter.Connected(ctx)
		done.Store(true)
	}()
	return done.Load
}

// standing keeps the validator's Envoy running. Without it, others are started.
func standing(v *validate.Validator) everywhere {
	return func(ctx context.Context) error {
		if err := v.Run(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "The Envoy that checks configurations is not running; starting one for each check")
			<-ctx.Done()
		}
		return nil
	}
}

// defaultEnvoy is the Envoy program if no flag specifies one.
const defaultEnvoy = "envoy"

// find returns the absolute path of a program, which may be in PATH.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

const validatorLong = `Check configurations for an operator that runs in the same pod, in a separate container,
because the input comes from tenants. It needs neither credentials nor the network.

The operator connects to the socket if it is started with --validator=unix:SOCKET.`

// newValidatorCommand returns the command that validates configurations for an operator.
func newValidatorCommand() *cobra.Command {
	socket, envoy := "/run/validator/validator.sock", os.Getenv("ENVOY")
	logs := cli.NewLogs()
	cmd := &cobra.Command{
		Use:     "validator",
		Short:   "Check configurations for an operator with Envoy",
		Long:    validatorLong,
		Example: "  epic-operator validator --socket=/run/validator/validator.sock",
		Args:    cli.NoArguments,
		RunE: logs.Before(func(ctx context.Context) error {
			return runValidator(ctx, socket, envoy)
		}),
	}
	cmd.Flags().StringVar(&socket, "socket", socket, "The Unix socket on which to serve.")
	cmd.Flags().StringVar(&envoy, "envoy", envoy, "The program Envoy. Default: the environment variable ENVOY, or envoy in PATH.")
	return cmd
}

func runValidator(ctx context.Context, socket, envoy string) error {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("--socket: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("--socket: %w", err)
	}
	logger := klog.FromContext(ctx)
	path, err := find(cmp.Or(envoy, defaultEnvoy))
	if err != nil {
		// The operator continues without validation, and its pod must stay ready.
		logger.Info("Envoy was not found: configurations are not checked", "reason", err.Error())
		return validate.Serve(ctx, l, without{fmt.Errorf("the validator's image has no Envoy: %w", err)})
	}
	v := validate.New(validate.Options{Envoy: path, MaxMemory: validatorMemory, Dir: filepath.Dir(socket)})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = standing(v)(ctx)
	}()
	defer func() { <-stopped }()
	logger.Info("Checking configurations", "socket", socket, "envoy", path)
	return validate.Serve(ctx, l, v)
}

// without is a checker that always returns an error.
type without struct{ err error }

// Check implements validate.Checker.
func (w without) Check(context.Context, ...*resource.Resource) (map[resource.Key]string, error) {
	return nil, w.err
}
