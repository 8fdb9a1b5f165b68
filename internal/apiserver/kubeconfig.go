package apiserver

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"viaduct/internal/apiserver/pki"
)

// KubeconfigPath is where the administrator's kubeconfig of a data directory is.
func KubeconfigPath(dataDir string) string { return filepath.Join(dataDir, "kubeconfig") }

// writeKubeconfig writes the administrator's kubeconfig, mode 0600, everything inlined.
func writeKubeconfig(dataDir, url string, ca []byte, admin pki.Pair) error {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["viaduct"] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: ca}
	cfg.AuthInfos[UserAdmin] = &clientcmdapi.AuthInfo{ClientCertificateData: admin.Cert, ClientKeyData: admin.Key}
	cfg.Contexts["viaduct"] = &clientcmdapi.Context{Cluster: "viaduct", AuthInfo: UserAdmin}
	cfg.CurrentContext = "viaduct"
	data, err := clientcmd.Write(*cfg)
	if err == nil {
		err = pki.WriteFile(KubeconfigPath(dataDir), data)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}
