// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/tunnelkey"
)

// masters returns the keys that the Secret has.
func (s *Setup) masters(t *testing.T) *tunnelkey.Masters {
	t.Helper()
	m, err := tunnelkey.Parse(s.secrets(t)[tunnelKeys][tunnelKeysKey])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRotateTunnelKeys(t *testing.T) {
	const day = 24 * time.Hour
	s, _ := installation(t, 0)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if secret, err := s.Kube.CoreV1().Secrets(s.Namespace).Get(t.Context(), tunnelKeys, metav1.GetOptions{}); err != nil || len(secret.Annotations) != 0 {
		t.Errorf("Without a rotation there is %v, %v", secret.Annotations, err)
	}
	s.TunnelKeyRotation = 90 * day
	now := time.Date(2026, 1, 1, 3, 17, 0, 0, time.UTC)
	run := func(after time.Duration, want ...int32) {
		t.Helper()
		now = now.Add(after)
		if err := s.rotateTunnelKeys(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if got := s.masters(t).IDs(); !slices.Equal(got, want) {
			t.Fatalf("%s: the keys are %v, want %v", now, got, want)
		}
	}
	run(0, 1)
	run(89*day, 1)
	first := s.masters(t)
	run(day, 1, 2)
	run(time.Hour, 1, 2)
	run(11*time.Hour, 2, 1)
	run(11*time.Hour, 2, 1)
	run(time.Hour, 2)
	if slices.Equal(s.masters(t).Text(), first.Text()) {
		t.Error("The key is the former one")
	}
	run(89*day, 2)
	run(day, 2, 3)

	// An administrator takes a step manually: the nodes need their time after that too.
	byHand, err := s.masters(t).Rotate()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(day)
	s.store(t, byHand.Text())
	run(0, 3, 2)
	run(11*time.Hour, 3, 2)
	run(time.Hour, 3)

	// A clock that was wrong, and other keys than a rotation makes.
	run(-day, 3)
	run(89*day, 3)
	run(day, 3, 4)
	s.store(t, []byte(string(tunnelkey.Generate())+string(s.masters(t).Text())))
	run(1000*day, 1, 3, 4)
}

func (s *Setup) store(t *testing.T, text []byte) {
	t.Helper()
	secret, err := s.Kube.CoreV1().Secrets(s.Namespace).Get(t.Context(), tunnelKeys, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data[tunnelKeysKey] = text
	if _, err := s.Kube.CoreV1().Secrets(s.Namespace).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
