// Package serve is what both servers have in common: TLS, the bearer and the answer.
package serve

import (
	"crypto/subtle"
	"crypto/tls"
	"flag"
	"io"
	"log"
	"net/http"
	"strings"
)

var (
	listen = flag.String("listen", "", "address")
	cert   = flag.String("tls-cert", "", "certificate chain in PEM")
	key    = flag.String("tls-key", "", "its key in PEM")
)

// Run serves handler on /webhook for ever, without session tickets, as the others do here.
func Run(handler http.HandlerFunc) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /webhook", handler)
	server := http.Server{
		Addr:      *listen,
		Handler:   mux,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true},
		// Clients that leave in the middle of a handshake are no news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	log.Fatal(server.ListenAndServeTLS(*cert, *key))
}

// Allowed says whether the request carries this token, compared in constant time.
func Allowed(r *http.Request, token []byte) bool {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return subtle.ConstantTimeCompare([]byte(bearer), token) == 1
}

// Answer writes a value that is JSON.
func Answer(w http.ResponseWriter, value []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	w.Write(value)
}
