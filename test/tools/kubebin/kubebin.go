// SPDX-License-Identifier: Apache-2.0

// Package kubebin finds or builds the etcd and the kube-apiserver that tests and benchmarks
// run.
package kubebin

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// Binaries are the programs of a control plane.
type Binaries struct{ Etcd, KubeAPIServer string }

const (
	// kubeModule pins the versions of both programs.
	kubeModule = "test/e2e/kube"
	// ownBuild is where they are built if no test cluster left them. Like kubeModule, it is
	// below the project's root.
	ownBuild = "bin/kube"
)

// Find looks for etcd and kube-apiserver in a folder, if one is given, else among what
// hack/cluster.sh keeps, else it builds them and reports that it does. The root is the
// project's.
func Find(ctx context.Context, root, folder string, report func(format string, args ...any)) (Binaries, error) {
	in := func(folder string) Binaries {
		return Binaries{Etcd: filepath.Join(folder, "etcd"), KubeAPIServer: filepath.Join(folder, "kube-apiserver")}
	}
	if folder != "" {
		return in(folder), nil
	}
	version, err := kubeVersion(ctx, filepath.Join(root, kubeModule))
	if err != nil {
		return Binaries{}, err
	}
	kept, err := filepath.Glob(filepath.Join(clusterCache(), "*", "complete"))
	if err != nil {
		return Binaries{}, err
	}
	own, err := filepath.Abs(filepath.Join(root, ownBuild))
	if err != nil {
		return Binaries{}, err
	}
	// Tests of several packages may need it at the same time.
	if err := os.MkdirAll(filepath.Dir(own), 0o750); err != nil {
		return Binaries{}, err
	}
	lock, err := fileutil.LockFile(own+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return Binaries{}, err
	}
	defer func() { _ = lock.Close() }()
	for _, candidate := range append(kept, filepath.Join(own, "complete")) {
		b := in(filepath.Dir(candidate))
		out, err := exec.CommandContext(ctx, b.KubeAPIServer, "--version").Output()
		if err == nil && strings.TrimSpace(string(out)) == "Kubernetes "+version {
			return b, nil
		}
	}
	report("No test cluster left a kube-apiserver %s: building one into %s; the first time this takes some 10 minutes", version, own)
	return in(own), buildKube(ctx, filepath.Join(root, kubeModule), own, version)
}

// clusterCache is where hack/cluster.sh keeps what it built.
func clusterCache() string {
	if dir := os.Getenv("EPIC_E2E_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "epic-e2e")
}

func kubeVersion(ctx context.Context, module string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	list.Dir = module
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for the version of Kubernetes (run from the project's root): %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func buildKube(ctx context.Context, module, target, version string) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", module, "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion="+version,
		"-o", target+"/", "./cmd/etcd", "./cmd/kube-apiserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build etcd and kube-apiserver: %w", err)
	}
	return os.WriteFile(filepath.Join(target, "complete"), nil, 0o600)
}
