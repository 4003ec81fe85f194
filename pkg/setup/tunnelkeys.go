// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/tunnelkey"
)

const (
	tunnelKeys    = "epic-tunnel-keys"
	tunnelKeysKey = "keys"
	// keysSince is the annotation of the Secret that contains since when it has which
	// keys, as "TIME IDS". It only counts if these are still the keys: others also rotate
	// them.
	keysSince = "epic.acnodal.io/keys-since"
	// stepInterval is the minimum time between two steps of a rotation. Servers read new
	// keys within two minutes, and nodes fetch theirs every few minutes. The rest is for
	// nodes that can't reach the API in that time.
	stepInterval = 12 * time.Hour
	// MinTunnelKeyRotation is the minimum age at which a key is replaced: before that,
	// the previous replacement might not have ended.
	MinTunnelKeyRotation = 48 * time.Hour
)

// ensureTunnelKeys creates the first master key of the tunnels, and rotates it.
func (s *Setup) ensureTunnelKeys(ctx context.Context) error {
	_, err := s.ensureSecret(ctx, tunnelKeys, corev1.SecretTypeOpaque, func(data map[string][]byte) (map[string][]byte, bool, error) {
		if len(data[tunnelKeysKey]) > 0 {
			return data, false, nil
		}
		return map[string][]byte{tunnelKeysKey: tunnelkey.Generate()}, true, nil
	})
	if err != nil || s.TunnelKeyRotation <= 0 {
		return err
	}
	return s.rotateTunnelKeys(ctx, time.Now())
}

// rotateTunnelKeys performs the next step of a rotation if it is due.
func (s *Setup) rotateTunnelKeys(ctx context.Context, now time.Time) error {
	client := s.Kube.CoreV1().Secrets(s.Namespace)
	secret, err := client.Get(ctx, tunnelKeys, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read secret %s/%s: %w", s.Namespace, tunnelKeys, err)
	}
	keys, err := tunnelkey.Parse(secret.Data[tunnelKeysKey])
	if err != nil {
		return fmt.Errorf("secret %s/%s: %w", s.Namespace, tunnelKeys, err)
	}
	logger := klog.FromContext(ctx).WithValues("secret", klog.KRef(s.Namespace, tunnelKeys))
	state, err := keys.Rotation()
	if err != nil {
		// Somebody else manages the keys. The installation is nevertheless complete.
		logger.Error(err, "The master keys of tunnels are not rotated")
		return nil
	}
	since, known := keptSince(secret.Annotations[keysSince], keys)
	wait := state.Wait(stepInterval, s.TunnelKeyRotation)
	switch {
	case known && now.Sub(since) < wait && !since.After(now):
		return nil
	case known && !since.After(now):
		if keys, err = keys.Rotate(); err != nil {
			return fmt.Errorf("secret %s/%s: %w", s.Namespace, tunnelKeys, err)
		}
		secret.Data[tunnelKeysKey] = keys.Text()
		logger.Info("Completed a step in the rotation of the master keys of tunnels", "ids", keys.IDs())
	default:
		// It is unknown how long the nodes have had these keys, so their time starts now.
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[keysSince] = now.UTC().Format(time.RFC3339) + " " + idText(keys)
	if _, err := client.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("write secret %s/%s: %w", s.Namespace, tunnelKeys, err)
	}
	return nil
}

// keptSince parses the annotation, and reports whether it is about these keys.
func keptSince(text string, keys *tunnelkey.Masters) (time.Time, bool) {
	at, ids, found := strings.Cut(text, " ")
	since, err := time.Parse(time.RFC3339, at)
	return since, found && err == nil && ids == idText(keys)
}

func idText(keys *tunnelkey.Masters) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(keys.IDs()), " ", ","), "[]")
}
