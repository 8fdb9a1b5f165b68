package apiserver

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// KubeconfigPath is where the administrator's kubeconfig of a data directory is.
func KubeconfigPath(dataDir string) string { return filepath.Join(dataDir, "kubeconfig") }

// writeKubeconfig writes the administrator's kubeconfig, mode 0600, everything inlined.
func writeKubeconfig(dataDir, url string, ca []byte, admin pair) error {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["viaduct"] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: ca}
	cfg.AuthInfos[UserAdmin] = &clientcmdapi.AuthInfo{ClientCertificateData: admin.cert, ClientKeyData: admin.key}
	cfg.Contexts["viaduct"] = &clientcmdapi.Context{Cluster: "viaduct", AuthInfo: UserAdmin}
	cfg.CurrentContext = "viaduct"
	data, err := clientcmd.Write(*cfg)
	if err == nil {
		err = writeFile(KubeconfigPath(dataDir), data)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}
