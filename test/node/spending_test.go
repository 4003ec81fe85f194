// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// spender is a process whose processor time is measured.
type spender struct {
	name string
	pid  int
}

// spending is what requests cost the spenders in processor time. The kernel does most of
// its work on a packet in the name of the process that sends it, so the system time of a
// process has what its packets cost on the way.
type spending struct {
	of       []*spender
	before   [][2]time.Duration
	sum      [][2]time.Duration
	requests int
}

func (s *spending) begin() {
	s.before = s.before[:0]
	for _, p := range s.of {
		s.before = append(s.before, processorTime(p.pid))
	}
}

func (s *spending) end(requests int) {
	if s.sum == nil {
		s.sum = make([][2]time.Duration, len(s.of))
	}
	s.requests += requests
	for i, p := range s.of {
		now := processorTime(p.pid)
		for k := range now {
			s.sum[i][k] += now[k] - s.before[i][k]
		}
	}
}

// String returns the microseconds of a request.
func (s *spending) String() string {
	var all []string
	for i, p := range s.of {
		n := float64(max(s.requests, 1))
		user, system := float64(s.sum[i][0].Microseconds())/n, float64(s.sum[i][1].Microseconds())/n
		all = append(all, fmt.Sprintf("%s %.0f µs and %.0f µs in the kernel", p.name, user, system))
	}
	return strings.Join(all, ", ")
}

// processorTime returns what a process has spent by itself and in the kernel.
func processorTime(pid int) [2]time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return [2]time.Duration{}
	}
	// The name, in parentheses, may have blanks. The times are the 12th and 13th field after it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var out [2]time.Duration
	for k := range out {
		var ticks int64
		if 11+k < len(fields) {
			_, _ = fmt.Sscan(fields[11+k], &ticks)
		}
		out[k] = time.Duration(ticks) * (time.Second / 100)
	}
	return out
}
