package apiserver

import (
	"fmt"
	"path/filepath"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"viaduct/internal/apiserver/pki"
)

// KubeconfigPath returns the path of the administrator's kubeconfig in a data directory.
func KubeconfigPath(dataDir string) string { return filepath.Join(dataDir, "kubeconfig") }

// writeAdminKubeconfig writes the administrator's kubeconfig. It has mode 0600 and contains the certificates.
func (s *Server) writeAdminKubeconfig() error {
	admin, err := s.pki.Client(UserAdmin, user.SystemPrivilegedGroup)
	if err != nil {
		return fmt.Errorf("certifying the administrator: %w", err)
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["viaduct"] = &clientcmdapi.Cluster{Server: s.URL(), CertificateAuthorityData: s.pki.CAPEM()}
	cfg.AuthInfos[UserAdmin] = &clientcmdapi.AuthInfo{ClientCertificateData: admin.Cert, ClientKeyData: admin.Key}
	cfg.Contexts["viaduct"] = &clientcmdapi.Context{Cluster: "viaduct", AuthInfo: UserAdmin}
	cfg.CurrentContext = "viaduct"
	data, err := clientcmd.Write(*cfg)
	if err == nil {
		err = pki.WriteFile(KubeconfigPath(s.options.DataDir), data)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}
