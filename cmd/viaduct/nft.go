package main

import (
	"github.com/spf13/cobra"

	"viaduct/internal/proxy/nft"
)

func newNFT(con console) *cobra.Command {
	return &cobra.Command{
		Use:   "nft [SERVICE|ADDRESS]...",
		Short: "Describe the kernel's nftables tables for Services",
		Long: `Reads Viaduct's nftables tables from the kernel and describes them in words, one Service after the
other. With arguments, it prints only Services whose name or one of whose addresses contains an
argument. It needs root.

'nft list table ip viaduct' lists the same tables. Some versions, such as nft 1.0.6, cannot list a
table that contains a Service with session affinity.`,
		Example: `  viaduct nft
  viaduct nft default/web
  viaduct nft 10.96.0.10:80`,
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := nft.Describe()
			if err != nil {
				return err
			}
			return d.Write(con.Out, args)
		},
	}
}
