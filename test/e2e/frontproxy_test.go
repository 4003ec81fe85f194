// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// forward makes a port of a pod or service one of this machine's, until the test
// ends.
func (c *cluster) forward(t *testing.T, target string, port int) string {
	t.Helper()
	cmd := exec.Command(c.kubectl, "--kubeconfig", c.kubeconfig, "port-forward", "--namespace", system, target, ":"+strconv.Itoa(port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("kubectl port-forward %s: %v", target, err)
	}
	match := regexp.MustCompile(`127\.0\.0\.1:(\d+)`).FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("kubectl port-forward says %q", line)
	}
	return match[1]
}

// selfSigned is a CA that no component of the cluster trusts.
func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	return certificate(t, &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// otherAuthority returns such a CA as a caBundle.
func otherAuthority(t *testing.T) string {
	t.Helper()
	block := &pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t, "other").Certificate[0]}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(block))
}

// Only the kube-apiserver may set the identity of a user in request headers.
func TestForgedFrontProxy(t *testing.T) {
	c := epic(t)
	c.platform(t)
	url := "https://127.0.0.1:" + c.forward(t, "service/epic-apiserver", 443) + "/apis/epic.acnodal.io/v1/epics"
	admin, err := tls.X509KeyPair(c.adminCertificate(t))
	certificates := map[string][]tls.Certificate{
		"no certificate":                  nil,
		"a certificate of its own making": {selfSigned(t, "front-proxy-client")},
	}
	for name, own := range certificates {
		t.Run(name, func(t *testing.T) {
			if code, body := forged(t, url, own, "system:admin", "system:masters"); code != http.StatusForbidden && code != http.StatusUnauthorized {
				t.Errorf("%d:\n%s", code, body)
			}
		})
	}
	t.Run("a user's certificate", func(t *testing.T) {
		if err != nil {
			t.Skipf("the kubeconfig has no client certificate: %v", err)
		}
		// The certificate is an administrator's, and the headers state that
		// somebody is sending who may do nothing: were they believed, this
		// would be refused.
		if code, body := forged(t, url, []tls.Certificate{admin}, "nobody", "nobodies"); code != http.StatusOK {
			t.Errorf("A user's certificate makes the headers believed: %d\n%s", code, body)
		}
	})
}

func (c *cluster) adminCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	config := c.config(t)
	return config.CertData, config.KeyData
}

func forged(t *testing.T, url string, certificates []tls.Certificate, user, group string) (int, string) {
	t.Helper()
	// The test is about whom the server believes, not whom the client does.
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Remote-User", user)
	request.Header.Set("X-Remote-Group", group)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
