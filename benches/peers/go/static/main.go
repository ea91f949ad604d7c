// Static answers every request that carries the token with one value from memory.
package main

import (
	"flag"
	"net/http"

	"vsecm-scout/benches/peers/serve"
)

func main() {
	token := flag.String("token", "", "the token")
	answer := flag.String("answer", "", "the value, as JSON")
	flag.Parse()
	expected, value := []byte(*token), []byte(*answer)

	serve.Run(func(w http.ResponseWriter, r *http.Request) {
		if !serve.Allowed(r, expected) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		serve.Answer(w, value)
	})
}
