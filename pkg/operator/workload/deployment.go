// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// GatewayNodeLabel marks the nodes on which proxies run.
	GatewayNodeLabel = epic.LabelPrefix + "gateway"
	// CAConfigMap is the ConfigMap in each account's namespace with the CA that
	// signs the operator's certificate.
	CAConfigMap = "epic-proxy-ca"
	// CAKey is the key of the CA in the ConfigMap.
	CAKey = "ca.crt"
	// TokenAudience is the audience of the tokens by which proxies are identified.
	TokenAudience = "epic-xds"
	// ContainerName is the name of the container that runs Envoy.
	ContainerName = "envoy"
	// HealthPort serves probes and metrics on the pod's cluster address.
	HealthPort = 7447
	// ConfigPort is the port on which a pod reports its Envoy's configuration, to the
	// operator only.
	ConfigPort = 7449

	tokenLifetime = 3600
	// drainDelay is how long a terminating pod continues to serve, in seconds. Its node
	// withdraws the route in that time: immediately, or when another pod is ready
	// (package handover of the node program waits for 12 s at most).
	drainDelay = 15
	// terminationGrace exceeds drainDelay plus the 180 s that connections may take to
	// end.
	terminationGrace = 200

	binaries  = "/epic/bin"
	runFolder = "/run/epic"
	// keepFolder is a directory that survives a reboot of the node.
	keepFolder = "/var/lib/epic-proxy"
	caFolder   = "/etc/epic/ca"
	tokenFile  = "/var/run/secrets/epic/token" //nolint:gosec // a file name
)

// Platform is the configuration that the proxies of all accounts share.
type Platform struct {
	// EnvoyImage is the Envoy image if neither a group nor the EPIC object sets one.
	EnvoyImage string
	// ProxyImage contains epic-proxy, which is copied into each pod, so any image with
	// Envoy can be used.
	ProxyImage string
	// PullPolicy is the pull policy of both images.
	PullPolicy corev1.PullPolicy
	// Operator is the address of the operator for proxies, as HOST:PORT, and ServerName
	// the name in its certificate.
	Operator, ServerName string
	// OperatorNamespace and OperatorLabels select the operator's pods, and
	// OperatorPort is the port on which they serve.
	OperatorNamespace string
	OperatorLabels    map[string]string
	OperatorPort      int32
	// Resources are the resources of the Envoy container.
	Resources corev1.ResourceRequirements
	// KeepKeys makes pods store the private keys of certificates on their nodes' disks.
	KeepKeys bool
}

// ImageOf returns the Envoy image of a proxy.
func (f *Platform) ImageOf(p *Proxy) string {
	if p.Image != "" {
		return p.Image
	}
	return f.EnvoyImage
}

// Deployment returns the Deployment of a proxy.
func (f *Platform) Deployment(p *Proxy) *appsv1.Deployment {
	meta := p.meta()
	return &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(p.Replicas),
			Selector: &metav1.LabelSelector{MatchLabels: p.Labels()},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: ptr.To(intstr.FromInt32(0)), MaxSurge: ptr.To(intstr.FromInt32(1))},
			},
			RevisionHistoryLimit: ptr.To[int32](2),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(meta.Labels), Annotations: p.annotations()},
				Spec:       f.pod(p),
			},
		},
	}
}

// DisruptionBudget returns a budget that allows the eviction of one pod of a proxy at a
// time.
func (f *Platform) DisruptionBudget(p *Proxy) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: p.meta(),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr.To(intstr.FromInt32(1)),
			Selector:       &metav1.LabelSelector{MatchLabels: p.Labels()},
		},
	}
}

func (f *Platform) pod(p *Proxy) corev1.PodSpec {
	return corev1.PodSpec{
		AutomountServiceAccountToken:  ptr.To(false),
		EnableServiceLinks:            ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To[int64](terminationGrace),
		NodeSelector:                  map[string]string{corev1.LabelOSStable: "linux", GatewayNodeLabel: "true"},
		Tolerations:                   []corev1.Toleration{{Key: GatewayNodeLabel, Operator: corev1.TolerationOpExists}},
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels()},
				// A rollout's new pod may run on the same node as the old one.
				MatchLabelKeys: []string{"pod-template-hash"},
			}},
		}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels()}, MatchLabelKeys: []string{"pod-template-hash"},
		}},
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532), RunAsGroup: ptr.To[int64](65532), FSGroup: ptr.To[int64](65532),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			// Allow public ports below 1024 without a capability.
			Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}},
		},
		InitContainers: []corev1.Container{{
			Name: "install", Image: f.ProxyImage, ImagePullPolicy: f.PullPolicy,
			Args:            []string{"install", binaries},
			VolumeMounts:    []corev1.VolumeMount{{Name: "bin", MountPath: binaries}},
			SecurityContext: restricted(),
			Resources:       f.Resources,
		}},
		Containers: []corev1.Container{f.container(p)},
		Volumes: []corev1.Volume{
			{Name: "bin", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			// On the node's disk, with the configuration that Envoy last accepted.
			{Name: "kept", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			// In memory, because it contains private keys; it survives a container
			// restart.
			{Name: "run", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
			{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: CAConfigMap},
			}}},
			{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
					Audience: TokenAudience, ExpirationSeconds: ptr.To[int64](tokenLifetime), Path: "token",
				}}},
			}}},
		},
	}
}

func (f *Platform) container(p *Proxy) corev1.Container {
	return corev1.Container{
		Name: ContainerName, Image: f.ImageOf(p), ImagePullPolicy: f.PullPolicy,
		Command: []string{binaries + "/epic-proxy"},
		Args: []string{
			"--operator=" + f.Operator,
			"--server-name=" + f.ServerName,
			"--ca-file=" + caFolder + "/" + CAKey,
			"--token-file=" + tokenFile,
			"--namespace=$(POD_NAMESPACE)",
			"--kind=" + string(p.Kind),
			"--name=" + p.Name,
			"--pod=$(POD_NAME)",
			"--dir=" + runFolder,
			"--keep-dir=" + keepFolder,
			"--keep-keys=" + strconv.FormatBool(f.KeepKeys),
			"--envoy=envoy",
			fmt.Sprintf("--bind-address=[$(POD_IP)]:%d", HealthPort),
			fmt.Sprintf("--config-address=[$(POD_IP)]:%d", ConfigPort),
			fmt.Sprintf("--drain-delay=%ds", drainDelay),
		},
		Env: []corev1.EnvVar{field("POD_NAMESPACE", "metadata.namespace"), field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP")},
		Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: HealthPort, Protocol: corev1.ProtocolTCP},
			{Name: "config", ContainerPort: ConfigPort, Protocol: corev1.ProtocolTCP},
		},
		// Envoy starts immediately, and is ready when it has a configuration.
		StartupProbe:  probe("/livez", 1, 60),
		LivenessProbe: probe("/livez", 10, 6),
		// Gateway nodes detect the end of a pod by its deletion. A node that is short of
		// CPU responds late, and must not lose its proxies for that.
		ReadinessProbe: probe("/readyz", 1, 5),
		Resources:      f.Resources,
		VolumeMounts: []corev1.VolumeMount{
			{Name: "bin", MountPath: binaries, ReadOnly: true},
			{Name: "run", MountPath: runFolder},
			{Name: "kept", MountPath: keepFolder},
			{Name: "ca", MountPath: caFolder, ReadOnly: true},
			{Name: "token", MountPath: "/var/run/secrets/epic", ReadOnly: true},
		},
		SecurityContext: restricted(),
	}
}

func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}},
		PeriodSeconds: period, TimeoutSeconds: 5, FailureThreshold: failures,
	}
}
