// SPDX-License-Identifier: Apache-2.0

// Command kubelet runs pods of the conformance suite as processes, each in a network
// namespace of its own. It does of a kubelet's work what the suite needs: it binds each
// pod to the one node, gives it an address on a bridge, starts its program with its
// environment and its Secrets, and reports that it is ready.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	node   = "conformance"
	bridge = "pods"
	subnet = "10.93."
)

// programs are the programs of images, by what their names contain.
var programs = map[string]string{"echo-": "echo-basic", "coredns": "coredns"}

type kubelet struct {
	client  kubernetes.Interface
	bin     string
	dir     string
	next    int
	running map[types.UID]*exec.Cmd
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	bin := flag.String("bin", "", "the folder with the programs that stand for images")
	dir := flag.String("dir", "", "a folder for volumes and logs")
	flag.Parse()
	log.SetFlags(log.Lmicroseconds)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *bin, *dir); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, bin, dir string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	k := &kubelet{client: client, bin: bin, dir: dir, running: map[types.UID]*exec.Cmd{}}
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge"}, {"addr", "add", subnet + "0.1/16", "dev", bridge}, {"link", "set", bridge, "up"},
	} {
		if err := ip(ctx, args...); err != nil {
			return err
		}
	}
	port, err := k.serveLogs(ctx)
	if err != nil {
		return err
	}
	host, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	// The node has a name and no address: the API server finds it, and its pods are
	// reached without a tunnel. The controller manager writes the object as well.
	status := fmt.Sprintf(`{"status":{"addresses":[{"type":"Hostname","address":"127.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%d}}}}`, port)
	if _, err := client.CoreV1().Nodes().Patch(ctx, host.Name, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 5*time.Second)
	pods := factory.Core().V1().Pods().Informer()
	work := make(chan *corev1.Pod, 1000)
	send := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if pod, ok := o.(*corev1.Pod); ok {
			work <- pod
		}
	}
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: send, UpdateFunc: func(_, o any) { send(o) }, DeleteFunc: send}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return nil
		case pod := <-work:
			// A late event is of an older version than the pod that is there.
			if _, exists, err := pods.GetStore().Get(pod); err == nil && !exists {
				k.stop(pod)
				continue
			}
			if err := k.keep(ctx, pod); err != nil {
				log.Printf("%s/%s: %v", pod.Namespace, pod.Name, err)
			}
		}
	}
}

// serveLogs serves the logs of pods as a kubelet does, and returns the port.
func (k *kubelet) serveLogs(ctx context.Context) (int32, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		if len(parts) != 4 || parts[0] != "containerLogs" {
			http.NotFound(w, r)
			return
		}
		pod, err := k.client.CoreV1().Pods(parts[1]).Get(r.Context(), parts[2], metav1.GetOptions{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		http.ServeFile(w, r, filepath.Join(k.dir, string(pod.UID), "log"))
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	return int32(listener.Addr().(*net.TCPAddr).Port), nil //nolint:errcheck,forcetypeassert // It listens on TCP.
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// keep does the next thing that a pod needs.
func (k *kubelet) keep(ctx context.Context, pod *corev1.Pod) error {
	switch {
	case pod.DeletionTimestamp != nil:
		k.stop(pod)
		zero := int64(0)
		err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		return err
	case pod.Spec.NodeName == "":
		return k.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: node},
		}, metav1.CreateOptions{})
	case k.running[pod.UID] != nil:
		return nil
	}
	address, err := k.start(ctx, pod)
	if err != nil {
		return err
	}
	pod = pod.DeepCopy()
	now := metav1.Now()
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs, pod.Status.StartTime = corev1.PodRunning, address, []corev1.PodIP{{IP: address}}, &now
	pod.Status.Conditions, pod.Status.ContainerStatuses = nil, nil
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	started := true
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, Started: &started, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	_, err = k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// start starts a pod's program and returns its address.
func (k *kubelet) start(ctx context.Context, pod *corev1.Pod) (string, error) {
	container := &pod.Spec.Containers[0]
	program := ""
	for image, name := range programs {
		if strings.Contains(container.Image, image) {
			program = filepath.Join(k.bin, name)
		}
	}
	if program == "" {
		return "", fmt.Errorf("no program stands for the image %s", container.Image)
	}
	folder := filepath.Join(k.dir, string(pod.UID))
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", err
	}
	volumes, err := k.volumes(ctx, pod, folder)
	if err != nil {
		return "", err
	}
	text := func(s string) string {
		for path, place := range volumes {
			s = strings.ReplaceAll(s, path, place)
		}
		return s
	}
	output, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return "", err
	}
	defer func() { _ = output.Close() }()
	// It starts when its interface is there.
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `read -r _ && exec "$0" "$@"`, program}, container.Args...)...)
	for i := range cmd.Args {
		cmd.Args[i] = text(cmd.Args[i])
	}
	for _, e := range container.Env {
		value := text(e.Value)
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			value = map[string]string{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace}[e.ValueFrom.FieldRef.FieldPath]
		}
		cmd.Env = append(cmd.Env, e.Name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	k.next++
	address := fmt.Sprintf("%s%d.%d", subnet, 1+k.next/250, 1+k.next%250)
	if err := network(ctx, fmt.Sprintf("pod%d", k.next), address, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return "", err
	}
	if _, err := io.WriteString(stdin, "go\n"); err != nil {
		return "", err
	}
	k.running[pod.UID] = cmd
	log.Printf("%s/%s runs %s at %s", pod.Namespace, pod.Name, filepath.Base(program), address)
	return address, nil
}

// network gives a process an interface on the bridge.
func network(ctx context.Context, name, address string, pid int) error {
	inside := []string{"-t", fmt.Sprint(pid), "-n", "ip"}
	for _, args := range [][]string{
		{"ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(pid)},
		{"ip", "link", "set", name, "master", bridge, "up"},
		append([]string{"nsenter"}, append(inside, "addr", "add", address+"/16", "dev", "eth0")...),
		append([]string{"nsenter"}, append(inside, "link", "set", "eth0", "up")...),
		append([]string{"nsenter"}, append(inside, "link", "set", "lo", "up")...),
		append([]string{"nsenter"}, append(inside, "route", "add", "default", "via", subnet+"0.1")...),
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// volumes writes the Secrets and ConfigMaps that a pod mounts, and returns where the
// paths of the mounts lead.
func (k *kubelet) volumes(ctx context.Context, pod *corev1.Pod, folder string) (map[string]string, error) {
	paths := map[string]string{}
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		for _, v := range pod.Spec.Volumes {
			if v.Name != mount.Name {
				continue
			}
			files, err := k.files(ctx, pod.Namespace, &v)
			if err != nil {
				return nil, err
			}
			place := filepath.Join(folder, v.Name)
			for name, data := range files {
				path := filepath.Join(place, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					return nil, err
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					return nil, err
				}
			}
			paths[mount.MountPath] = place
		}
	}
	return paths, nil
}

func (k *kubelet) files(ctx context.Context, namespace string, v *corev1.Volume) (map[string][]byte, error) {
	all, items := map[string][]byte{}, []corev1.KeyToPath(nil)
	switch {
	case v.Secret != nil:
		secret, err := k.client.CoreV1().Secrets(namespace).Get(ctx, v.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		all, items = secret.Data, v.Secret.Items
	case v.ConfigMap != nil:
		m, err := k.client.CoreV1().ConfigMaps(namespace).Get(ctx, v.ConfigMap.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for name, text := range m.Data {
			all[name] = []byte(text)
		}
		items = v.ConfigMap.Items
	}
	if items == nil {
		return all, nil
	}
	some := map[string][]byte{}
	for _, item := range items {
		some[item.Path] = all[item.Key]
	}
	return some, nil
}

func (k *kubelet) stop(pod *corev1.Pod) {
	if cmd := k.running[pod.UID]; cmd != nil {
		delete(k.running, pod.UID)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(filepath.Join(k.dir, string(pod.UID)))
	}
}
