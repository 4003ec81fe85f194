// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaries are the programs of a control plane.
type binaries struct{ etcd, kubeAPIServer, epic string }

const (
	// kubeModule pins the versions of both programs.
	kubeModule = "test/e2e/kube"
	// ownBuild is where they are built if no test cluster left them.
	ownBuild = "bin/kube"
)

// findBinaries looks for etcd and kube-apiserver in the folder that was asked
// for, else among what hack/cluster.sh keeps, else it builds them.
func findBinaries(ctx context.Context, folder, epic string) (binaries, error) {
	in := func(folder string) binaries {
		return binaries{etcd: filepath.Join(folder, "etcd"), kubeAPIServer: filepath.Join(folder, "kube-apiserver"), epic: epic}
	}
	if folder != "" {
		return in(folder), nil
	}
	version, err := kubeVersion(ctx)
	if err != nil {
		return binaries{}, err
	}
	kept, err := filepath.Glob(filepath.Join(clusterCache(), "*", "complete"))
	if err != nil {
		return binaries{}, err
	}
	for _, candidate := range append(kept, filepath.Join(ownBuild, "complete")) {
		b := in(filepath.Dir(candidate))
		out, err := exec.CommandContext(ctx, b.kubeAPIServer, "--version").Output()
		if err == nil && strings.TrimSpace(string(out)) == "Kubernetes "+version {
			return b, nil
		}
	}
	progress("No test cluster left a kube-apiserver %s: building one into %s; the first time this takes some 10 minutes", version, ownBuild)
	return in(ownBuild), buildKube(ctx, version)
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

func kubeVersion(ctx context.Context) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	list.Dir = kubeModule
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for the version of Kubernetes (run from the project's root): %w", kubeModule, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func buildKube(ctx context.Context, version string) error {
	target, err := filepath.Abs(ownBuild)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", kubeModule, "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion="+version,
		"-o", target+"/", "./cmd/etcd", "./cmd/kube-apiserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build etcd and kube-apiserver: %w", err)
	}
	return os.WriteFile(filepath.Join(target, "complete"), nil, 0o600)
}
