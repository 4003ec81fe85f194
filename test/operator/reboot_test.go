// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// After a reboot of a gateway host without Kubernetes, proxies serve again though the API
// server is away, and also after they ended once more. When it is back, they follow it.
func TestRebootWithoutAPI(t *testing.T) {
	s := newSite(t)
	address := ownAddress(t)
	s.slice("svc", serveText(t, address, "hello"), address.String())
	gw := s.gateway("web", httpListener())
	s.must(nil, s.create(httpRoute("web", "web", to("/", "svc"))))
	at := url(gw.Spec.PublicAddress, 80) + "/"
	s.answers(at, 200)

	s.stop()
	s.killProxies()
	server := s.server.Kubeconfig
	text, err := os.ReadFile(server)
	s.must(nil, err)
	away := filepath.Join(s.dir, "away.kubeconfig")
	s.must(nil, os.WriteFile(away, regexp.MustCompile(`server: .*`).ReplaceAll(text, []byte("server: https://127.0.0.1:1")), 0o600))
	s.server.Kubeconfig = away
	s.startOperator()
	s.answers(at, 200)
	s.killProxies()
	s.answers(at, 200)

	s.stop()
	s.server.Kubeconfig = server
	s.startOperator()
	s.must(nil, s.create(httpRoute("more", "web", to("/none", "nothing"))))
	s.answers(at+"none", 500)
	s.answers(at, 200)
}

// killProxies ends every proxy with its Envoy, as a reboot does.
func (s *site) killProxies() {
	s.Helper()
	records, err := filepath.Glob(filepath.Join(s.dir, "op", "p", "*", "record.json"))
	s.must(nil, err)
	if len(records) == 0 {
		s.Fatal("there is no proxy")
	}
	for _, file := range records {
		var record struct {
			Process struct{ PID int }
		}
		text, err := os.ReadFile(file)
		s.must(nil, err)
		s.must(nil, json.Unmarshal(text, &record))
		if record.Process.PID < 2 {
			s.Fatalf("%s: %s", file, text)
		}
		// Each is the first process of a separate session.
		s.must(nil, syscall.Kill(-record.Process.PID, syscall.SIGKILL))
	}
}
