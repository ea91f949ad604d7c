// Live reads the token and the value from the Kubernetes API for each request: one GET each.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"log"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"vsecm-scout/benches/peers/serve"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "who to be, and the API server")
	namespace := flag.String("namespace", "default", "the namespace of all Secrets")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS = -1 // no limit
	// Cheaper than JSON, on both sides.
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	secrets := clientset.CoreV1().Secrets(*namespace)

	serve.Run(func(w http.ResponseWriter, r *http.Request) {
		token, err := secrets.Get(r.Context(), "jwt-token", metav1.GetOptions{})
		if err != nil {
			http.Error(w, "the token cannot be read", http.StatusServiceUnavailable)
			return
		}
		if !serve.Allowed(r, bytes.TrimRight(token.Data["token"], " \r\n\t")) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		query := r.URL.Query()
		secret, err := secrets.Get(r.Context(), query.Get("key"), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			http.Error(w, "no such Secret", http.StatusNotFound)
			return
		}
		if err != nil {
			http.Error(w, "the Secret cannot be read", http.StatusServiceUnavailable)
			return
		}
		value, ok := secret.Data[query.Get("property")]
		if !ok || secret.Labels["scout.vsecm.com/serve"] != "true" {
			http.Error(w, "not served", http.StatusForbidden)
			return
		}
		answer, err := json.Marshal(string(value))
		if err != nil {
			http.Error(w, "the value is not text", http.StatusUnprocessableEntity)
			return
		}
		serve.Answer(w, answer)
	})
}
