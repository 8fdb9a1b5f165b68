package prober

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
)

// grpcCheck calls the gRPC health protocol, without TLS. Only SERVING is good.
func grpcCheck(action *v1.GRPCAction, target Target) (Check, error) {
	if action.Port < 1 || action.Port > 65535 {
		return nil, fmt.Errorf("grpc: port %d is not from 1 to 65535", action.Port)
	}
	// "passthrough" dials the address unchanged: without a resolver or a proxy of the environment.
	where := "passthrough:///" + net.JoinHostPort(target.Addr.String(), strconv.Itoa(int(action.Port)))
	service := ""
	if action.Service != nil {
		service = *action.Service
	}
	return func(ctx context.Context) Answer {
		conn, err := grpc.NewClient(where, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithUserAgent(UserAgent), grpc.WithNoProxy())
		if err != nil {
			return Answer{Unknown, err.Error()}
		}
		defer func() { _ = conn.Close() }()
		response, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		return grpcAnswer(service, response.GetStatus(), err)
	}, nil
}

func grpcAnswer(service string, serving grpc_health_v1.HealthCheckResponse_ServingStatus, err error) Answer {
	switch {
	case status.Code(err) == codes.Unimplemented:
		return Answer{Bad, "the server does not offer grpc.health.v1.Health"}
	case err != nil:
		return Answer{Bad, bounded(err.Error())}
	case serving != grpc_health_v1.HealthCheckResponse_SERVING:
		return Answer{Bad, fmt.Sprintf("service %q is %s", service, serving)}
	}
	return Answer{Good, fmt.Sprintf("service %q is %s", service, serving)}
}
