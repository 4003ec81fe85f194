// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// attachments is a network that remembers what is attached.
type attachments struct {
	Loopback
	ids *[]string
}

func (a attachments) Attach(id, pod string, p *workload.Proxy) (Link, error) {
	if !slices.Contains(*a.ids, id) {
		*a.ids = append(*a.ids, id)
	}
	return a.Loopback.Attach(id, pod, p)
}

func (a attachments) Detach(id string, _ Link) error {
	*a.ids = slices.DeleteFunc(*a.ids, func(has string) bool { return has == id })
	return nil
}

// unwritable lets no file be written at a path, as on a full disk, until the function that it
// returns is called.
func unwritable(t *testing.T, path string) (mend func()) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A proxy whose object is deleted while nothing can be written ends all the same, and the
// description follows later.
func TestEndsWithoutADescription(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		dir := t.TempDir()
		r := newRig(t, dir, forever)
		attached := []string{}
		r.o.Network = attachments{ids: &attached}
		key := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}
		r.ensure(shop())
		process := r.proxies[key].Process
		mend := unwritable(t, filepath.Join(dir, DescriptionFile))
		var err error
		if other := shop(); replaced {
			other.UID = "u2"
			_, err = r.Ensure(t.Context(), other)
		} else {
			err = r.Remove(t.Context(), key)
		}
		if err == nil {
			t.Error("nobody learns that the description is old")
		}
		until(t, "the process has ended", func() bool { return !process.alive() })
		r.ending.Wait()
		if len(attached) != 0 || !r.identities.has("revoke lb-shop-0") {
			t.Errorf("replaced %v: %v are attached; %v", replaced, attached, r.identities.said)
		}
		mend()
		if err := r.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		if _, err := os.ReadFile(filepath.Join(dir, DescriptionFile)); err != nil {
			t.Error(err)
		}
		if folders, err := os.ReadDir(filepath.Join(dir, "p")); err != nil || len(folders) != 0 {
			t.Errorf("replaced %v: these folders are left: %v, %v", replaced, folders, err)
		}
	}
}

// A proxy whose folder can't be moved away stays known, so its end is tried again.
func TestEndIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, forever)
	key := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}
	r.ensure(shop())
	p := r.proxies[key]
	folder := p.id
	// No file system takes a name of this length.
	p.id = strings.Repeat("x", 256)
	if err := r.Remove(t.Context(), key); err == nil {
		t.Error("the folder was moved away")
	}
	if !p.Process.alive() {
		t.Error("the process ended while its folder stays")
	}
	p.id = folder
	if err := r.Remove(t.Context(), key); err != nil {
		t.Error(err)
	}
	until(t, "the process has ended", func() bool { return !p.Process.alive() })
	r.ending.Wait()
}

// Everything made for a proxy is removed with its object, or by the next operator, even if
// the record was never written.
func TestNothingStaysOfAStart(t *testing.T) {
	for _, restart := range []bool{false, true} {
		dir := t.TempDir()
		r := newRig(t, dir, forever)
		attached := []string{}
		r.o.Network = attachments{ids: &attached}
		key := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}
		folder := filepath.Join(dir, "p", id(dir, key))
		mend := unwritable(t, filepath.Join(folder, recordFile))
		if _, err := r.Ensure(t.Context(), shop()); err == nil {
			t.Fatal("the record was written")
		}
		if len(attached) != 1 {
			t.Fatalf("%v are attached", attached)
		}
		if restart {
			mend()
			r.Stop()
			o := r.o
			if _, err := New(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		} else if err := r.Remove(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		r.ending.Wait()
		if folders, err := os.ReadDir(filepath.Join(dir, "p")); err != nil || len(folders) != 0 || len(attached) != 0 {
			t.Errorf("restart %v: these are left: folders %v, attached %v, %v", restart, folders, attached, err)
		}
	}
}
