// SPDX-License-Identifier: Apache-2.0

package serving

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
)

// tlsConfig returns a TLS configuration that follows the certificates of info until ctx
// ends.
func tlsConfig(ctx context.Context, info *genericapiserver.SecureServingInfo) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:       max(tls.VersionTLS12, info.MinTLSVersion),
		CipherSuites:     info.CipherSuites,
		CurvePreferences: info.CurvePreferences,
		NextProtos:       []string{"h2", "http/1.1"},
	}
	if info.DisableHTTP2 {
		config.NextProtos = []string{"http/1.1"}
	}
	if info.ClientCA != nil {
		// The authenticators verify it: a certificate is optional.
		config.ClientAuth = tls.RequestClientCert
	}
	controller := dynamiccertificates.NewDynamicServingCertificateController(config, info.ClientCA, info.Cert, info.SNICerts, nil)
	follow := func(what any) error {
		if notifier, ok := what.(dynamiccertificates.Notifier); ok {
			notifier.AddListener(controller)
		}
		runner, ok := what.(dynamiccertificates.ControllerRunner)
		if !ok {
			return nil
		}
		if err := runner.RunOnce(ctx); err != nil {
			return err
		}
		go runner.Run(ctx, 1)
		return nil
	}
	if info.ClientCA != nil {
		if err := follow(info.ClientCA); err != nil {
			return nil, fmt.Errorf("the authorities of clients: %w", err)
		}
	}
	if info.Cert != nil {
		if err := follow(info.Cert); err != nil {
			return nil, fmt.Errorf("the serving certificate: %w", err)
		}
	}
	for _, sni := range info.SNICerts {
		if err := follow(sni); err != nil {
			return nil, fmt.Errorf("the serving certificate %s: %w", sni.Name(), err)
		}
	}
	if err := controller.RunOnce(); err != nil {
		return nil, fmt.Errorf("the serving certificates: %w", err)
	}
	go controller.Run(1, ctx.Done())
	config.GetConfigForClient = controller.GetConfigForClient
	return config, nil
}

// errorLog logs the messages of http.Server. Handshakes fail whenever a prober or a
// scanner connects.
type errorLog struct{ klog.Logger }

func (l errorLog) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	if strings.HasPrefix(line, "http: TLS handshake error") {
		l.V(5).Info(line)
	} else {
		l.Info(line)
	}
	return len(p), nil
}
