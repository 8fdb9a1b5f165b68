package apiserver

import (
	"encoding/json"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// crdPath is the path of CustomResourceDefinitions.
const crdPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// serveEmptyCRDList serves an empty list of CustomResourceDefinitions. Before kubectl creates an object of a kind that
// can only be created, such as a TokenReview, it reads this list, and fails if it is not served.
func serveEmptyCRDList(server *genericapiserver.GenericAPIServer) {
	list := struct {
		metav1.TypeMeta `json:",inline"`
		metav1.ListMeta `json:"metadata"`
		Items           []struct{} `json:"items"`
	}{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinitionList"},
		Items: []struct{}{}}
	server.Handler.NonGoRestfulMux.HandleFunc(crdPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list) // an error means that the client has closed the connection
	})
}
