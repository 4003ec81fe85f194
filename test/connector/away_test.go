// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/access"
)

// sign makes a token of a service account as the cluster's own, with times that the cluster
// would not give it: it stands for one that was made long ago.
func (c *cluster) sign(t *testing.T, namespace, name string, issued, expires time.Duration) string {
	t.Helper()
	account, err := c.core.CoreV1().ServiceAccounts(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		t.Fatalf("the key of service accounts is a %T", pair.PrivateKey)
	}
	const issuer = "https://kubernetes.default.svc"
	now := time.Now()
	text := ""
	for _, part := range []any{map[string]string{"alg": "ES256"}, map[string]any{
		"iss": issuer, "aud": []string{issuer}, "sub": "system:serviceaccount:" + namespace + ":" + name,
		"iat": now.Add(issued).Unix(), "nbf": now.Add(issued).Unix(), "exp": now.Add(expires).Unix(),
		"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": account.UID}},
	}} {
		data, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		text += base64.RawURLEncoding.EncodeToString(data) + "."
	}
	sum := sha256.Sum256([]byte(text[:len(text)-1]))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// give puts another token into the connector's kubeconfig, as a mounted Secret changes.
func (r *replica) give(t *testing.T, token string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(r.remote)
	if err != nil {
		t.Fatal(err)
	}
	config.AuthInfos["u"].Token = token
	if err := clientcmd.WriteToFile(*config, r.remote+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.remote+".new", r.remote); err != nil {
		t.Fatal(err)
	}
}

// metric reads a value of the connector's metrics; 0 if it is not there.
func (r *replica) metric(name string) (float64, error) {
	_, body, err := r.get("/metrics")
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(body)
	if match == nil {
		return 0, nil
	}
	return strconv.ParseFloat(match[1], 64)
}

// reports returns an error unless the GatewayClass reports a reason for the connector's
// access to EPIC.
func (w *world) reports(ctx context.Context, status metav1.ConditionStatus, reason string) error {
	class := &gatewayv1.GatewayClass{}
	if err := w.tenants.admin.Get(ctx, client.ObjectKey{Name: "epic"}, class); err != nil {
		return err
	}
	if c := apimeta.FindStatusCondition(class.Status.Conditions, access.Condition); c == nil || c.Status != status || c.Reason != reason {
		return fmt.Errorf("the GatewayClass reports %+v, not %s", c, reason)
	}
	return nil
}

// TestAway has EPIC away while the connector's credential ages: past the times of several
// renewals, and past its end. The tokens stand for time that passed. In the end both sides
// agree, without anybody's hands as long as the token is valid when EPIC is back, and with a
// new manifest otherwise. The connector is not restarted, and nothing changes in the client
// cluster while it can't know what EPIC has.
func TestAway(t *testing.T) {
	w := clusters(t)
	namespace := w.account(t, "away")
	ctx := t.Context()
	if err := w.tenants.namespace(ctx, churned...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.clear(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	c := &churner{client: w.tenants.admin, rng: mathrand.New(mathrand.NewPCG(1, 2)), certificates: newCertificates(t, 2), done: &atomic.Int64{}}
	o := w.site(namespace, "away")
	agree := func(when string) {
		t.Helper()
		eventually(t, settle, when, func() error { return o.Compare(ctx) })
	}
	gone := func() { w.gateway.server.Kill() }
	back := func() {
		t.Helper()
		if err := w.gateway.server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := w.await(w.gateway.server, w.epicReady); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if !w.gateway.server.Running() {
			back()
		}
	})
	token := func(issued, expires time.Duration) string {
		t.Helper()
		return w.gateway.sign(t, namespace, "connector.away", issued, expires)
	}
	wants := func(r *replica, metric string, ok func(float64) bool) func() error {
		return func() error {
			value, err := r.metric(metric)
			if err == nil && !ok(value) {
				err = fmt.Errorf("%s is %v", metric, value)
			}
			return err
		}
	}
	r := w.newReplica(t, "away", "away", "away", "--epic-credential-secret=epic-connector-credential")
	w.started(t, r)
	c.fill(ctx, t)
	agree("before EPIC went away")
	eventually(t, settle, "before EPIC went away", func() error { return w.reports(ctx, metav1.ConditionTrue, access.ReasonConnected) })

	// Weeks pass: renewals are overdue, and the token is almost at its end.
	old := token(-29*24*time.Hour, time.Hour)
	gone()
	r.give(t, old)
	for range 100 {
		c.step(ctx)
	}
	eventually(t, settle, "EPIC is away", wants(r, `epic_connector_credential_renewals_total{result="failed"}`, func(v float64) bool { return v > 0 }))
	eventually(t, settle, "EPIC is away", func() error { return w.reports(ctx, metav1.ConditionFalse, access.ReasonUnreachable) })
	eventually(t, settle, "EPIC is away", wants(r, "epic_connector_connected", func(v float64) bool { return v == 0 }))
	if code, body, err := r.get("/livez"); code != http.StatusOK {
		t.Errorf("While EPIC is away, the connector is not alive: %d %s, %v", code, body, err)
	}
	back()
	agree("EPIC is back, and the token was almost at its end")
	eventually(t, settle, "EPIC is back", func() error { return w.reports(ctx, metav1.ConditionTrue, access.ReasonConnected) })
	eventually(t, settle, "the token was renewed", wants(r, "epic_connector_credential_expiry_timestamp_seconds", func(v float64) bool {
		return v > float64(time.Now().Add(2*time.Hour).Unix())
	}))
	if !r.Running() {
		t.Error("The connector ended")
	}
	r.Kill()

	// The token's end comes while EPIC is away. This connector does not renew it.
	expired, valid := token(-30*24*time.Hour, -time.Minute), token(0, time.Hour)
	r = w.newReplica(t, "away", "away", "late")
	w.started(t, r)
	agree("with another connector")
	gone()
	r.give(t, expired)
	for range 100 {
		c.step(ctx)
	}
	back()
	eventually(t, settle, "the token has expired", func() error { return w.reports(ctx, metav1.ConditionFalse, access.ReasonCredentialExpired) })
	before := w.published(t, namespace)
	for range 50 {
		c.step(ctx)
	}
	// It may also be restarted with it. Then it is alive, and does not work.
	r.Kill()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, settle, "it started with an expired token", func() error {
		code, body, err := r.get("/livez")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	if code, _, _ := r.get("/readyz"); code == http.StatusOK {
		t.Error("It says that it is ready")
	}
	if after := w.published(t, namespace); after != before {
		t.Errorf("With an expired token, EPIC's objects were\n%s\nand are\n%s", before, after)
	}
	r.give(t, valid)
	agree("there is another token")
	eventually(t, settle, "there is another token", func() error { return w.reports(ctx, metav1.ConditionTrue, access.ReasonNotRenewed) })

	// The platform team revokes it.
	if err := w.gateway.core.CoreV1().ServiceAccounts(namespace).Delete(ctx, "connector.away", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, settle, "the token was revoked", func() error { return w.reports(ctx, metav1.ConditionFalse, access.ReasonCredentialRefused) })
}

// published returns the names and versions of an account's objects in EPIC. Changes of
// their statuses do not change it.
func (w *world) published(t *testing.T, namespace string) string {
	t.Helper()
	all, err := w.remote(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, 0, len(all))
	for name, o := range all {
		lines = append(lines, fmt.Sprint(name, " ", o.GetUID(), " ", o.GetGeneration()))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
