// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// maxText limits the text of a result.
const maxText = 4 << 10

// runEnvoy validates resources with a new Envoy. It returns Envoy's error if that refuses
// the configuration.
func (v *Validator) runEnvoy(ctx context.Context, resources []*resource.Resource) (string, error) {
	v.started.Add(1)
	began := time.Now()
	defer func() { seconds.Observe(time.Since(began).Seconds()) }()
	config, refusal, err := configuration(resources)
	if refusal != "" || err != nil {
		return refusal, err
	}
	dir, err := os.MkdirTemp(v.options.Dir, "epic-validate-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left is small
	file := dir + "/bootstrap.pb"
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, v.options.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.options.Envoy, "--mode", "validate", "--config-path", file, "--concurrency", "1",
		"--disable-hot-restart", "--log-level", "error", "--log-format", "%l: %v")
	log, err := v.options.start(cmd, dir)
	if err != nil {
		return "", fmt.Errorf("start Envoy to check resources: %w", err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", ctx.Err()
	case ctx.Err() != nil:
		return fmt.Sprintf("Envoy took longer than %s to load it", v.options.Timeout), nil
	case !errors.As(err, &exit):
		return "", fmt.Errorf("run Envoy to check resources: %w", err)
	}
	text := words(log.String(), file)
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		text = strings.TrimSpace(fmt.Sprintf("Envoy crashes on it (%s): %s", status.Signal(), text))
	}
	if text == "" {
		text = err.Error()
	}
	return text, nil
}

// start starts an Envoy in a directory, with a memory limit. It returns the end of its
// log.
func (o *Options) start(cmd *exec.Cmd, dir string) (*tail, error) {
	log := &tail{}
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.WaitDelay = log, log, dir, time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for kind, limit := range map[int]uint64{unix.RLIMIT_DATA: o.MaxMemory, unix.RLIMIT_CORE: 0} {
		// If this fails, Envoy has already ended.
		_ = unix.Prlimit(cmd.Process.Pid, kind, &unix.Rlimit{Cur: limit, Max: limit}, nil)
	}
	return log, nil
}

var preamble = regexp.MustCompile(`(?m)^(error|critical): (error initializing configuration '[^']*': )?`)

// words returns the error in Envoy's log for a configuration.
func words(log, file string) string {
	var lines []string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(preamble.ReplaceAllString(line, ""))
		if line != "" && !strings.Contains(line, "exiting") && (len(lines) == 0 || lines[len(lines)-1] != line) {
			lines = append(lines, line)
		}
	}
	text := strings.ReplaceAll(strings.Join(lines, "\n"), file, "the configuration")
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "\uFFFD")
}

// tail keeps the last bytes written.
type tail struct{ bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	n, err := t.Buffer.Write(p)
	if over := t.Len() - 4*maxText; over > 0 {
		t.Next(over)
	}
	return n, err
}
