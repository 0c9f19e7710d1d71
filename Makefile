# make proof: what becomes of requests in deployments, scalings and failures, with a real Envoy; docs/deployments.md has the results.
.PHONY: proof
proof:
	E2E_PROOF=full E2E_PROOF_PAGE=../docs/deployments.md go test ./e2e -run '^TestDeploymentsWithoutAFailedRequest$$' -count=1 -timeout 60m -v
