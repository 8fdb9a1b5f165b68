package main

import (
	"github.com/spf13/cobra"

	"viaduct/internal/proxy/nft"
)

func newNFT(con console) *cobra.Command {
	return &cobra.Command{
		Use:   "nft [SERVICE|ADDRESS]...",
		Short: "Tell what the kernel's table does with connections to Services",
		Long: `Reads Viaduct's nftables tables from the kernel and tells them in words, a Service at a time: all, or those whose name or one of
whose addresses contains a word that is given. It needs root. The same tables can be listed with 'nft list table ip viaduct', except
that nft 1.0.6 and others cannot list one with a Service that remembers its clients (sessionAffinity).`,
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
