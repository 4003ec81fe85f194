// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
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

func (r *recorder) Sweep(context.Context, string) error { return nil }

func TestSecretKeeper(t *testing.T) {
	r := &recorder{}
	k := newSecretKeeper(r)
	apply := func(user string, secrets ...*corev1.Secret) func() error {
		return func() error { return k.apply(t.Context(), user, secrets) }
	}
	release := func(user string, needed ...*corev1.Secret) func() error {
		return func() error { return k.release(t.Context(), user, needed) }
	}
	for _, step := range []struct {
		name string
		do   func() error
		err  error
		want []string
	}{
		{"the first user", apply("a", secret("x", "1"), secret("y", "1")), nil, []string{"apply x=1", "apply y=1"}},
		{"again", apply("a", secret("x", "1"), secret("y", "1")), nil, nil},
		{"another user", apply("b", secret("x", "1")), nil, nil},
		{"a renewed certificate", apply("b", secret("x", "2")), nil, []string{"apply x=2"}},
		{"one needs less", release("a", secret("x", "2")), nil, []string{"delete y"}},
		{"one goes", release("a"), nil, nil},
		{"a stranger goes", release("c"), nil, nil},
		{"EPIC is away", release("b"), errors.New("away"), []string{"delete x"}},
		{"the last one goes", release("b"), nil, []string{"delete x"}},
		{"it comes back", apply("a", secret("x", "2")), nil, []string{"apply x=2"}},
		{"it can't be written", apply("a", secret("z", "1")), errors.New("away"), []string{"apply z=1"}},
		{"it is tried again", apply("a", secret("z", "1")), nil, []string{"apply z=1"}},
		{"all are written again", func() error { return k.rewrite(t.Context()) }, nil, []string{"apply x=2", "apply z=1"}},
		{"one that can't be is no reason to leave out the others", func() error { return k.rewrite(t.Context()) }, errors.New("away"), []string{"apply x=2", "apply z=1"}},
	} {
		r.did, r.err = nil, step.err
		if err := step.do(); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.name, err)
		}
		if !slices.Equal(r.did, step.want) {
			t.Errorf("%s: did %v, not %v", step.name, r.did, step.want)
		}
	}
}

func TestFolderSecrets(t *testing.T) {
	folder := t.TempDir()
	former := FolderSecrets(folder, account)
	other := secret("other", "1")
	other.Labels[epic.OwningClusterLabel] = "rome"
	for _, s := range []*corev1.Secret{secret("kept", "1"), secret("left", "1"), other} {
		if err := former.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(folder, account, "by-hand"), 0o700); err != nil {
		t.Fatal(err)
	}
	// The next run needs one of them.
	w := FolderSecrets(folder, account)
	if err := w.Apply(t.Context(), secret("kept", "2")); err != nil {
		t.Fatal(err)
	}
	if err := w.Sweep(t.Context(), "paris"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"kept": "2", "left": "", "other": "1"} {
		data, err := os.ReadFile(filepath.Join(folder, account, name, "tls.crt"))
		if string(data) != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, account, "by-hand")); err != nil {
		t.Error(err)
	}
}
