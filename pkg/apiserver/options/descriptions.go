// SPDX-License-Identifier: Apache-2.0

package options

import "github.com/spf13/pflag"

// describe gives a flag its one line of help. The generic options describe
// theirs in paragraphs, which a page of a hundred flags can't hold.
func describe(f *pflag.Flag) {
	if text, ok := descriptions[f.Name]; ok {
		f.Usage = text
	}
}

// descriptions has a line for each flag. The word in backquotes stands for the
// value.
var descriptions = map[string]string{
	// Standalone mode.
	"standalone":     "Serve without a kube-apiserver: own certificates, one administrator",
	"kubeconfig-out": "Write the administrator's kubeconfig to `FILE`",

	// Embedded etcd.
	"data-dir":                  "Keep data (and standalone certificates) in `DIR`; runs an etcd unless --etcd-servers",
	"embedded-etcd-quota-bytes": "Take no more writes when the database has this many `BYTES`",

	// Storage.
	"etcd-servers":                                "Use the etcd at these `URLS`, separated by commas",
	"etcd-cafile":                                 "Verify etcd's certificates with the authorities in `FILE`",
	"etcd-certfile":                               "Show etcd the client certificate in `FILE`",
	"etcd-keyfile":                                "The key of --etcd-certfile is in `FILE`",
	"etcd-prefix":                                 "Keep everything under this `KEY`; choose before the first start",
	"etcd-start-timeout":                          "Give up when no etcd answers for this long at the start",
	"claims-audit-interval":                       "Compare objects with what they claim this often; 0 never",
	"address-cooling-period":                      "Keep a released address from other accounts for this long; 0 not at all",
	"etcd-compaction-interval":                    "Forget old revisions this often; 0 never",
	"etcd-count-metric-poll-period":               "Count the objects for the metrics this often; 0 never",
	"etcd-db-metric-poll-interval":                "Ask for the database's size this often; 0 never",
	"etcd-healthcheck-timeout":                    "Call etcd unhealthy when it takes longer to answer",
	"etcd-readycheck-timeout":                     "Call etcd not ready when it takes longer to answer",
	"storage-media-type":                          "Write objects to etcd as this media `TYPE`",
	"watch-cache":                                 "Serve watches and lists from memory",
	"delete-collection-workers":                   "Delete this many objects of a collection at once",
	"encryption-provider-config":                  "Encrypt objects in etcd as the configuration in `FILE` says",
	"encryption-provider-config-automatic-reload": "Read --encryption-provider-config again when it changes",

	// Scheduled snapshots.
	"backup-dir":      "Save snapshots of etcd in the folder `DIR`, which has nothing else; none if empty",
	"backup-interval": "Save a snapshot this often",
	"backup-keep":     "Keep so many of the newest `SNAPSHOTS`",

	// Serving.
	"bind-address":                     "Listen on this `ADDRESS` (standalone: 127.0.0.1 unless given)",
	"secure-port":                      "Listen on this `PORT`; 0 takes any free one",
	"tls-cert-file":                    "Serve with the certificate (and its chain) in `FILE`; read again when it changes",
	"tls-private-key-file":             "The key of --tls-cert-file is in `FILE`",
	"tls-sni-cert-key":                 "Serve another certificate for other names, as `CERT,KEY:NAMES`; may be repeated",
	"tls-min-version":                  "Lowest TLS `VERSION`: VersionTLS12 or VersionTLS13",
	"tls-cipher-suites":                "Cipher `SUITES` of TLS 1.2, separated by commas; Go's choice if empty",
	"tls-curve-preferences":            "Numbers of the key exchange `CURVES`; Go's choice if empty",
	"http2-max-streams-per-connection": "Requests at once on one connection",
	"disable-http2-serving":            "Serve HTTP/1.1 only",
	"permit-port-sharing":              "Let other processes listen on the same port (SO_REUSEPORT)",
	"permit-address-sharing":           "Take the port although old connections linger (SO_REUSEADDR)",

	// The kube-apiserver.
	"kubeconfig": "Reach the kube-apiserver by this kubeconfig `FILE`; the pod's own account if empty",

	// Authentication.
	"authentication-kubeconfig":              "Another kubeconfig `FILE` for asking who sent a request",
	"authentication-skip-lookup":             "Don't read the front proxy's authority from the cluster",
	"authentication-tolerate-lookup-failure": "Start although the front proxy's authority can't be read",
	"authentication-token-webhook-cache-ttl": "Remember for this long whom a token belongs to",
	"client-ca-file":                         "Accept client certificates signed by the authorities in `FILE`",
	"requestheader-client-ca-file":           "Trust a front proxy with a certificate signed by the authorities in `FILE`",
	"requestheader-allowed-names":            "Common `NAMES` a front proxy's certificate may have; any if empty",
	"requestheader-username-headers":         "`HEADERS` with the user's name, from the front proxy",
	"requestheader-uid-headers":              "`HEADERS` with the user's UID, from the front proxy",
	"requestheader-group-headers":            "`HEADERS` with the user's groups, from the front proxy",
	"requestheader-extra-headers-prefix":     "`PREFIXES` of headers with more about the user, from the front proxy",

	// Authorization.
	"authorization-kubeconfig":                     "Another kubeconfig `FILE` for asking what somebody may do",
	"authorization-always-allow-paths":             "Let anybody read these `PATHS`",
	"authorization-webhook-cache-authorized-ttl":   "Remember a yes for this long",
	"authorization-webhook-cache-unauthorized-ttl": "Remember a no for this long",

	// Admission.
	"admission-control-config-file": "Configure the plugins as `FILE` says",
	"enable-admission-plugins":      "`PLUGINS` to add to the default ones",
	"disable-admission-plugins":     "`PLUGINS` to leave out",

	// Nodes and tunnels.
	"tunnel-key-file":       "Make the keys of tunnels from the master keys in `FILE`; read again when it changes",
	"gateway-node-accounts": "Service `ACCOUNTS` of the gateway's node program, as NAMESPACE/NAME",

	// Limits of accounts.
	"account-object-limit":        "Objects an account may have unless it sets spec.objectLimit; 0 for any number",
	"account-storage-limit-bytes": "`BYTES` an account's objects may take unless it sets spec.storageLimitBytes; 0 for any",

	// Requests and shutdown.
	"max-requests-inflight":                   "Reads at once; the rest wait or are refused",
	"max-mutating-requests-inflight":          "Writes at once; the rest wait or are refused",
	"request-timeout":                         "End a request that takes longer",
	"min-request-timeout":                     "Keep a watch open for at least this many `SECONDS`",
	"goaway-chance":                           "Part of requests after which the client is asked to connect again; up to 0.02",
	"shutdown-delay-duration":                 "Keep serving for this long after SIGTERM, while readyz says no",
	"shutdown-send-retry-after":               "While draining, answer new requests with 429 and Retry-After",
	"shutdown-watch-termination-grace-period": "Take at most this long to end watches at shutdown",
	"livez-grace-period":                      "Call the server alive for this long although it is still starting",
	"storage-initialization-timeout":          "Wait this long for the watch caches before being ready",
	"advertise-address":                       "Tell others to reach this server at `ADDRESS`",
	"external-hostname":                       "Name this `HOST` in generated URLs",
	"cors-allowed-origins":                    "Let web pages from origins that match these `REGEXPS` use the API",
	"strict-transport-security-directives":    "`DIRECTIVES` of the HSTS header; none is sent if empty",

	// Versions and features.
	"feature-gates":                "Turn features on or off, as `[COMPONENT:]NAME=BOOL,...`; components: epic, kube",
	"emulated-version":             "Behave as an earlier version, as `COMPONENT=MAJOR.MINOR,...`",
	"min-compatibility-version":    "Stay compatible with an earlier version, as `COMPONENT=MAJOR.MINOR,...`",
	"enable-priority-and-fairness": "Queue requests by the cluster's flow schemas (not in standalone mode)",
	"profiling":                    "Serve profiles under /debug/pprof/ to those who may read them",
	"contention-profiling":         "Profile blocking too",
	"debug-socket-path":            "Serve profiles on the unix socket `PATH` to whoever can open it",

	// Audit.
	"audit-policy-file":                     "Record what the policy in `FILE` says; nothing if empty",
	"audit-log-path":                        "Append records to `FILE`; - is standard output",
	"audit-log-format":                      "json or legacy",
	"audit-log-mode":                        "batch, blocking or blocking-strict",
	"audit-log-compress":                    "Compress rotated files",
	"audit-log-maxage":                      "Remove rotated files after this many `DAYS`",
	"audit-log-maxbackup":                   "Keep at most this many rotated `FILES`",
	"audit-log-maxsize":                     "Rotate at this many `MEGABYTES`",
	"audit-log-version":                     "API `VERSION` of the records",
	"audit-log-batch-buffer-size":           "Records that may wait to be written (batch mode)",
	"audit-log-batch-max-size":              "Records in one batch (batch mode)",
	"audit-log-batch-max-wait":              "Longest wait for a batch to fill (batch mode)",
	"audit-log-batch-throttle-enable":       "Limit the rate of batches (batch mode)",
	"audit-log-batch-throttle-qps":          "Batches a second (batch mode)",
	"audit-log-batch-throttle-burst":        "Batches at once after a pause (batch mode)",
	"audit-log-truncate-enabled":            "Shorten records that are too large",
	"audit-log-truncate-max-batch-size":     "Largest batch in `BYTES`",
	"audit-log-truncate-max-event-size":     "Largest record in `BYTES`",
	"audit-webhook-config-file":             "Send records to the server that the kubeconfig `FILE` names",
	"audit-webhook-mode":                    "batch, blocking or blocking-strict",
	"audit-webhook-version":                 "API `VERSION` of the records",
	"audit-webhook-initial-backoff":         "First pause after a failure",
	"audit-webhook-batch-buffer-size":       "Records that may wait to be sent (batch mode)",
	"audit-webhook-batch-max-size":          "Records in one batch (batch mode)",
	"audit-webhook-batch-max-wait":          "Longest wait for a batch to fill (batch mode)",
	"audit-webhook-batch-throttle-enable":   "Limit the rate of batches (batch mode)",
	"audit-webhook-batch-throttle-qps":      "Batches a second (batch mode)",
	"audit-webhook-batch-throttle-burst":    "Batches at once after a pause (batch mode)",
	"audit-webhook-truncate-enabled":        "Shorten records that are too large",
	"audit-webhook-truncate-max-batch-size": "Largest batch in `BYTES`",
	"audit-webhook-truncate-max-event-size": "Largest record in `BYTES`",

	// Tracing.
	"tracing-config-file": "Send traces as the configuration in `FILE` says",

	// Logs.
	"logging-format":            "text or json",
	"v":                         "Log more: 0 is quiet, 2 for operators, 4 for faults, 6 shows requests",
	"vmodule":                   "Another verbosity for some files (text only)",
	"log-flush-frequency":       "Write buffered lines at least this often",
	"log-text-split-stream":     "Errors to stderr, the rest to stdout (text; needs LoggingAlphaOptions)",
	"log-text-info-buffer-size": "Buffer this many `BYTES` of stdout (text; needs LoggingAlphaOptions)",
	"log-json-split-stream":     "Errors to stderr, the rest to stdout (json; needs LoggingAlphaOptions)",
	"log-json-info-buffer-size": "Buffer this many `BYTES` of stdout (json; needs LoggingAlphaOptions)",
}
