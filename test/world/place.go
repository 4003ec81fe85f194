// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// Place records that a proxy runs on the gateway node with that address, as the program that starts
// it does where proxies are no pods. Until then the server accepts nothing that the
// node reports of it. The client is an administrator's.
func (p *Proxy) Place(ctx context.Context, client versioned.Interface, node string) error {
	i := p.Interface
	body, err := json.Marshal(map[string]any{"status": map[string]any{"proxy-placements": map[string]string{i.Pod: node}}})
	if err != nil {
		return err
	}
	if i.Kind == proxies.LoadBalancer {
		_, err = client.EpicV1().LoadBalancers(i.Namespace).Patch(ctx, i.Owner, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	} else {
		_, err = client.EpicV1().GWProxies(i.Namespace).Patch(ctx, i.Owner, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		return fmt.Errorf("recording where proxy %s runs: %w", i.Pod, err)
	}
	return nil
}
