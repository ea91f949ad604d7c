// Go's own HTTP client, which is what the External Secrets Operator asks with.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"os"
	"time"
)

const requests = 200

var (
	url   = os.Getenv("URL") + "?key=myremotekey&property=password"
	token = os.Getenv("TOKEN")
	roots = x509.NewCertPool()
)

func main() {
	log.SetFlags(0)
	pem, err := os.ReadFile(os.Getenv("CA"))
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		log.Fatal("no CA: ", err)
	}

	kept := transport("http/1.1")
	expect("kept connections", kept, "HTTP/1.1", 1)

	fresh := transport("http/1.1")
	fresh.DisableKeepAlives = true
	expect("fresh connections", fresh, "HTTP/1.1", requests)

	// What ESO does where a store has a CA. It offers HTTP/2 too, and is to get HTTP/1.1.
	expect("Go's default", transport("h2", "http/1.1"), "HTTP/1.1", 1)
	expect("HTTP/2", transport("h2"), "HTTP/2.0", 1)

	// The reason, as ESO prints it into the events of an ExternalSecret.
	for token, status := range map[string]string{
		"":      "401 no-token",
		"a.b.c": "401 token-mismatch",
	} {
		response, _ := ask(kept, token)
		if response.Status != status {
			log.Fatalf("the status is %q and not %q", response.Status, status)
		}
	}
}

func transport(protocols ...string) *http.Transport {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"},
		Protocols:       &http.Protocols{},
	}
	for _, protocol := range protocols {
		transport.Protocols.SetHTTP1(transport.Protocols.HTTP1() || protocol == "http/1.1")
		transport.Protocols.SetHTTP2(transport.Protocols.HTTP2() || protocol == "h2")
	}
	return transport
}

// Asks many times, one after the other, over that many connections.
func expect(name string, transport *http.Transport, protocol string, connections int) {
	opened := 0
	for range requests {
		response, reused := ask(transport, token)
		if response.StatusCode != http.StatusOK || response.Proto != protocol {
			log.Fatalf("%s: %s %s", name, response.Proto, response.Status)
		}
		if !reused {
			opened++
		}
	}
	if opened != connections {
		log.Fatalf("%s: %d connections and not %d", name, opened, connections)
	}
	fmt.Printf("%s: %d answers over %s, %d connections\n", name, requests, protocol, opened)
}

func ask(transport *http.Transport, token string) (response *http.Response, reused bool) {
	trace := &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { reused = got.Reused },
	}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	request = request.WithContext(httptrace.WithClientTrace(request.Context(), trace))
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err = client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	if _, err = io.Copy(io.Discard, response.Body); err != nil {
		log.Fatal(err)
	}
	response.Body.Close()
	return response, reused
}
