package validation

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DefaultTokenRequest sets a lifetime of one hour.
func DefaultTokenRequest(request *authenticationv1.TokenRequest) {
	defaultPointer(&request.Spec.ExpirationSeconds, defaultTokenSeconds)
}

// ValidateTokenRequest checks the lifetime of a token, and that it has no attestations, which only tokens for
// webhooks have. This server has no webhooks.
func ValidateTokenRequest(request *authenticationv1.TokenRequest) field.ErrorList {
	path := field.NewPath("spec", "expirationSeconds")
	var seconds int64
	if request.Spec.ExpirationSeconds != nil {
		seconds = *request.Spec.ExpirationSeconds
	}
	var errs field.ErrorList
	if seconds < minTokenSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > maxTokenSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if a := request.Spec.Attestations; len(a) > 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "attestations"), a,
			"attestations may only be specified with a webhook bound object reference"))
	}
	return errs
}
