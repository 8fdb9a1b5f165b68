package store

import (
	"strings"
	"testing"
)

func TestClusterCheck(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cluster Cluster
		wrong   string // in the error; empty: there is none
	}{
		{"none", Cluster{}, ""},
		{"plain", Cluster{Servers: []string{"http://127.0.0.1:2379"}}, ""},
		{"with all files", Cluster{Servers: []string{"https://a:2379", "https://[::1]:2379"}, CAFile: "ca", CertFile: "c", KeyFile: "k"}, ""},
		{"files without servers", Cluster{CAFile: "ca"}, "no URL"},
		{"a certificate without its key", Cluster{Servers: []string{"https://a:1"}, CertFile: "c"}, "both"},
		{"a key without its certificate", Cluster{Servers: []string{"https://a:1"}, KeyFile: "k"}, "both"},
		{"no scheme", Cluster{Servers: []string{"127.0.0.1:2379"}}, `"127.0.0.1:2379" is no URL`},
		{"another scheme", Cluster{Servers: []string{"unix:///run/etcd"}}, "is no URL"},
		{"no port", Cluster{Servers: []string{"https://etcd.example"}}, "https://etcd.example:2379"},
		{"empty", Cluster{Servers: []string{""}}, "is no URL"},
		{"certificates for plain text", Cluster{Servers: []string{"http://a:1"}, CAFile: "ca"}, "not be encrypted"},
		{"one of several plain", Cluster{Servers: []string{"https://a:1", "http://b:1"}}, "not reached in the same way"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.cluster.Check()
			if tt.wrong == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
				t.Errorf("error %v, want one with %q", err, tt.wrong)
			}
		})
	}
}
