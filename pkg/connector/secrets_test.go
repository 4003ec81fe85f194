// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/connector/publish"
)

func secret(name, value string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: account, Name: name, Labels: map[string]string{epic.OwningClusterLabel: "paris"}},
		Data:       map[string][]byte{"tls.crt": []byte(value)},
	}
}

// recorder records what a keeper does.
type recorder struct {
	did []string
	err error
}

func (r *recorder) Apply(_ context.Context, s *corev1.Secret) error {
	r.did = append(r.did, "apply "+s.Name+"="+string(s.Data["tls.crt"]))
	return r.err
}

func (r *recorder) Delete(_ context.Context, name string) error {
	r.did = append(r.did, "delete "+name)
	return r.err
}

func (r *recorder) Sweep(_ context.Context, _ string, keep []string) error {
	r.did = append(r.did, "sweep, keep ["+strings.Join(keep, " ")+"]")
	return r.err
}

func TestFolderSecrets(t *testing.T) {
	folder := t.TempDir()
	former := FolderSecrets(folder, account)
	other := secret("other", "1")
	other.Labels[epic.OwningClusterLabel] = "rome"
	for _, s := range []*corev1.Secret{secret("kept", "1"), secret("lent", "1"), secret("left", "1"), other} {
		if err := former.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(folder, account, "by-hand"), 0o700); err != nil {
		t.Fatal(err)
	}
	// The next run needs one of them, and a shared proxy another.
	w := FolderSecrets(folder, account)
	if err := w.Apply(t.Context(), secret("kept", "2")); err != nil {
		t.Fatal(err)
	}
	if err := w.Sweep(t.Context(), "paris", []string{"lent"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"kept": "2", "lent": "1", "left": "", "other": "1"} {
		data, err := os.ReadFile(filepath.Join(folder, account, name, "tls.crt"))
		if string(data) != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, account, "by-hand")); err != nil {
		t.Error(err)
	}
}

// Only Secrets of this cluster and of earlier runs are asked to be removed, and none that is
// to be kept.
func TestAPISecretsSweep(t *testing.T) {
	var asked client.DeleteAllOfOptions
	c := indexed(t, nil, interceptor.Funcs{DeleteAllOf: func(_ context.Context, _ client.WithWatch, _ client.Object, opts ...client.DeleteAllOfOption) error {
		asked.ApplyOptions(opts)
		return nil
	}})
	w := APISecrets(c, account, "uid")
	if err := w.Sweep(t.Context(), "paris", nil); err != nil || asked.FieldSelector == nil || !asked.FieldSelector.Empty() {
		t.Errorf("With nothing to keep: %v, %v", asked.FieldSelector, err)
	}
	if err := w.Sweep(t.Context(), "paris", []string{"paris.a", "paris.b"}); err != nil {
		t.Fatal(err)
	}
	if got, want := asked.FieldSelector.String(), "metadata.name!=paris.a,metadata.name!=paris.b"; got != want {
		t.Errorf("It asks for %q, not %q", got, want)
	}
	for _, part := range []string{"epic.acnodal.io/owning-cluster=paris", "epic.acnodal.io/connector-run notin (", publish.ClusterUIDKey + "=uid"} {
		if !strings.Contains(asked.LabelSelector.String(), part) {
			t.Errorf("It asks for %q, without %q", asked.LabelSelector, part)
		}
	}
}
