// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/connector"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/test/tools/freeport"
	"github.com/acnodal/epic/test/tools/kubebin"
	"github.com/acnodal/epic/test/tools/manifest"
)

// root is the project's.
const root = "../.."

// etcd starts an etcd and returns its URL.
func (s *site) etcd(name string) string {
	s.Helper()
	url, peer := "http://"+freeport.Address(s), "http://"+freeport.Address(s)
	s.start(name, s.kube.Etcd, nil, kubebin.EtcdArgs(s.in(name), url, peer)...)
	return url
}

// startKube starts the one Kubernetes API, which is the gateway cluster's and the client
// cluster's. It has no kubelets: the test makes the pods that Prometheus finds.
func (s *site) startKube() {
	s.Helper()
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	own, err := pki.Open(s.Context(), s.in("kube", "pki"), []string{"localhost"}, local)
	s.must(err)
	front, err := pki.Open(s.Context(), s.in("kube", "front-proxy"), []string{"localhost"}, local)
	s.must(err)
	s.api = freeport.Address(s)
	_, port, err := net.SplitHostPort(s.api)
	s.must(err)
	s.must(own.WriteKubeconfig(s.in("admin.kubeconfig"), "https://"+s.api))
	s.ca, err = os.ReadFile(own.CAFile())
	s.must(err)
	s.start("kube-apiserver", s.kube.KubeAPIServer, nil, append(kubebin.ServerArgs(own, front, s.in("kube"), port),
		"--etcd-servers", s.etcd("kube-etcd"), "--disable-admission-plugins=ServiceAccount", "--shutdown-delay-duration=0")...)
	config, err := clientcmd.BuildConfigFromFlags("", s.in("admin.kubeconfig"))
	s.must(err)
	config.QPS = -1
	s.core, err = kubernetes.NewForConfig(config)
	s.must(err)
	s.client, err = versioned.NewForConfig(config)
	s.must(err)
	s.until("the kube-apiserver is ready", func() error {
		return s.core.Discovery().RESTClient().Get().AbsPath("/readyz").Do(s.Context()).Error()
	})
	s.connect()
}

// connect makes the client that knows all kinds that are served now.
func (s *site) connect() {
	s.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.in("admin.kubeconfig"))
	s.must(err)
	config.QPS = -1
	scheme, err := connector.Scheme()
	s.must(err)
	s.until("the Kubernetes API lists its kinds", func() error {
		s.objects, err = client.New(config, client.Options{Scheme: scheme})
		return err
	})
}

// apply creates the objects of files of the project.
func (s *site) apply(files ...string) {
	s.Helper()
	for i, file := range files {
		if !filepath.IsAbs(file) {
			files[i] = filepath.Join(root, file)
		}
	}
	s.must(manifest.Apply(s.Context(), s.objects, func(file string, request func() error) error {
		s.until(file, request)
		return nil
	}, files...))
}

// gatewayAPI installs the Gateway API.
func (s *site) gatewayAPI() {
	s.Helper()
	kinds, err := kubebin.GatewayAPI(s.Context(), root)
	s.must(err)
	s.apply(kinds...)
}

// namespaces makes them.
func (s *site) namespaces(names ...string) {
	s.Helper()
	for _, name := range names {
		_, err := s.core.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		s.must(err)
	}
}

// token returns a token of a service account, which is made if it is not there. It is bound to
// a pod if one is named, as the tokens that pods find are.
func (s *site) token(namespace, account, pod string, audiences ...string) string {
	s.Helper()
	_, err := s.core.CoreV1().ServiceAccounts(namespace).Create(s.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		s.must(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 3600), Audiences: audiences}}
	if pod != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod}
	}
	token, err := s.core.CoreV1().ServiceAccounts(namespace).CreateToken(s.Context(), account, request, metav1.CreateOptions{})
	s.must(err)
	return token.Status.Token
}

// kubeconfig writes one for a server of this machine, and returns its path.
func (s *site) kubeconfig(file, address, namespace, token string) string {
	s.Helper()
	path := s.in(file + ".kubeconfig")
	s.must(kubebin.WriteKubeconfig(path, "https://"+address, s.ca, namespace, token))
	return path
}

// bind gives a service account a ClusterRole, in a namespace or, without one, everywhere.
func (s *site) bind(in, role, namespace, account string) {
	s.Helper()
	meta := metav1.ObjectMeta{Name: role + "." + namespace + "." + account}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}}
	var err error
	if in == "" {
		_, err = s.core.RbacV1().ClusterRoleBindings().Create(s.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	} else {
		_, err = s.core.RbacV1().RoleBindings(in).Create(s.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	}
	s.must(err)
}

// revoke takes resources away from a ClusterRole, and returns a function that restores it.
func (s *site) revoke(role string, resources ...string) (restore func(*site)) {
	s.Helper()
	roles := s.core.RbacV1().ClusterRoles()
	has, err := roles.Get(s.Context(), role, metav1.GetOptions{})
	s.must(err)
	before := has.DeepCopy().Rules
	found := false
	for i := range has.Rules {
		var left []string
		for _, r := range has.Rules[i].Resources {
			taken := false
			for _, one := range resources {
				taken = taken || r == one
			}
			if found = found || taken; !taken {
				left = append(left, r)
			}
		}
		if has.Rules[i].Resources = left; len(left) == 0 {
			// A rule has at least one.
			has.Rules[i].Resources = []string{"none"}
		}
	}
	if !found {
		s.Fatalf("%s has none of %v", role, resources)
	}
	_, err = roles.Update(s.Context(), has, metav1.UpdateOptions{})
	s.must(err)
	return func(s *site) {
		s.Helper()
		has, err := roles.Get(s.Context(), role, metav1.GetOptions{})
		s.must(err)
		has.Rules = before
		_, err = roles.Update(s.Context(), has, metav1.UpdateOptions{})
		s.must(err)
	}
}

// node makes a Node object with an address.
func (s *site) node(name, address string) {
	s.Helper()
	n, err := s.core.CoreV1().Nodes().Create(s.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	s.must(err)
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
	_, err = s.core.CoreV1().Nodes().UpdateStatus(s.Context(), n, metav1.UpdateOptions{})
	s.must(err)
}

// pod makes the pod of a program that serves metrics at an address of this machine, as the
// install manifests do: Prometheus finds it by its labels and the name of its port.
func (s *site) pod(namespace, name, account, node, portName, address string, labels map[string]string) {
	s.Helper()
	host, port, err := net.SplitHostPort(address)
	s.must(err)
	var number int32
	_, err = fmt.Sscan(port, &number)
	s.must(err)
	p, err := s.core.CoreV1().Pods(namespace).Create(s.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: account, AutomountServiceAccountToken: ptr.To(false),
			Containers: []corev1.Container{{Name: "program", Image: "none", Ports: []corev1.ContainerPort{{Name: portName, ContainerPort: number}}}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = corev1.PodRunning, host, []corev1.PodIP{{IP: host}}
	_, err = s.core.CoreV1().Pods(namespace).UpdateStatus(s.Context(), p, metav1.UpdateOptions{})
	s.must(err)
	s.must(s.found.add(p, address))
}

// programPod is that of one of EPIC's programs.
func (s *site) programPod(namespace, program, pod, portName, address string) {
	s.Helper()
	s.pod(namespace, pod, program, "gateway", portName, address, map[string]string{"app.kubernetes.io/name": program})
}

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
