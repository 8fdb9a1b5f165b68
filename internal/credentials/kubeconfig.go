package credentials

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig returns a kubeconfig with which the user of a token logs in. The server's address is server, or the one of
// config if server is empty. The certificate authority is the one of config, and must be loaded (rest.LoadTLSFiles).
func Kubeconfig(config *rest.Config, server string, token Token, namespace string) ([]byte, error) {
	if server == "" {
		server = config.Host
	}
	made := *clientcmdapi.NewConfig()
	made.Clusters["viaduct"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: config.CAData}
	made.AuthInfos[token.User] = &clientcmdapi.AuthInfo{Token: token.Text}
	made.Contexts["viaduct"] = &clientcmdapi.Context{Cluster: "viaduct", AuthInfo: token.User, Namespace: namespace}
	made.CurrentContext = "viaduct"
	return clientcmd.Write(made)
}

// WriteFile replaces the file at path atomically by one with mode 0600, whatever the mode of the old file was.
func WriteFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	defer os.Remove(f.Name()) // fails after a successful rename
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}
