// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/tunnelkey"
)

// The master key is replaced by another, without the steps between, while the client
//
// node program is away. Requests continue; and when it comes back with its old keys both
// ends fetch the new ones.
func keysReplaced(t *testing.T, s *site, v *service) {
	s.must(s.tenants[0].process.Stop())
	r := v.traffic()
	fresh := "2" + strings.TrimPrefix(string(tunnelkey.Generate()), "1")
	path := filepath.Join(s.server.DataDir, "tunnel-keys")
	s.must(os.WriteFile(path+".new", []byte(fresh), 0o600))
	s.must(os.Rename(path+".new", path))
	s.until("the server uses the new key", func() error {
		got, err := s.client.EpicV1().LoadBalancers(v.lb.Namespace).GetTunnelKeys(t.Context(), v.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(got.Tunnels) != 1 || len(got.Tunnels[0].Keys) != 1 || got.Tunnels[0].Keys[0].ID != 2 {
			return errors.New("it does not")
		}
		return nil
	})
	unknown := func() uint64 { return s.gateway.mustReport().Control[gue.UnknownKey.String()] }
	before := unknown()
	s.tenants[0].run()
	s.until("the gateway meets the new key", func() error {
		if unknown() <= before {
			return errors.New("it does not")
		}
		return nil
	})
	met := s.gateway.mustReport().Now
	s.until("both ends use the new key", func() error {
		for _, e := range []*end{s.gateway, s.tenants[0]} {
			tunnel, err := v.tunnel(e)
			if err != nil {
				return err
			}
			if tunnel.State != status.Up || !tunnel.Seen.After(met) {
				return fmt.Errorf("%s: %+v", e.name, tunnel)
			}
		}
		return nil
	})
	r.stop()
	if n := r.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, r.requests.Load())
	}
}
