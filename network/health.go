package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// healthTimeout bounds a single question to a server.
const healthTimeout = 2 * time.Second

// healthz asks a Fabric server's operations service whether it serves.
func healthz(ctx context.Context, address string) error {
	var answer struct {
		Status string `json:"status"`
	}
	if err := getJSON(ctx, http.DefaultClient, "http://"+address+"/healthz", &answer); err != nil {
		return err
	}
	if answer.Status != "OK" {
		return fmt.Errorf("health is %q", answer.Status)
	}
	return nil
}

// get reads an answer with status 200.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return do(client, request)
}

func getJSON(ctx context.Context, client *http.Client, url string, answer any) error {
	body, err := get(ctx, client, url)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

func do(client *http.Client, request *http.Request) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", request.URL.Path, response.Status)
	}
	return body, err
}

// metric reads one of a Fabric server's metrics, which is about the channel.
func metric(ctx context.Context, operations, name string) (int, error) {
	metrics, err := get(ctx, http.DefaultClient, "http://"+operations+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(metrics)) {
		if rest, ok := strings.CutPrefix(line, name+"{"); ok {
			_, value, _ := strings.Cut(rest, "} ")
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", operations, name)
}

// handshake opens and closes a connection with mutual TLS.
func handshake(ctx context.Context, address, serverName string, client, server certificates) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	certificate, err := tls.LoadX509KeyPair(client.Cert, client.Key)
	if err != nil {
		return err
	}
	roots, err := certPool(server.CA)
	if err != nil {
		return err
	}
	// In TLS 1.3 a client only learns with the first bytes it reads that its
	// certificate was refused; in 1.2 the handshake itself tells.
	config := &tls.Config{ServerName: serverName, RootCAs: roots, Certificates: []tls.Certificate{certificate}, MaxVersion: tls.VersionTLS12}
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// certPool reads a file of trusted certificates.
func certPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// free says whether an address can be listened on.
func free(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}
