# Thin on purpose: each target is one command that also works without make.
.PHONY: demo test lint bench bench-test bench-scale chaos mutants chaos-input

demo: ## the whole product on this machine, no server needed
	cargo run -- demo

test: ## everything, against private PostgreSQL and RabbitMQ servers
	tests/run.sh

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features faults -- -D warnings

mutants: ## known bugs, switched on one by one: which suite catches each, and how (the store suite's and those of scenarios, on private servers)
	cargo test --features faults --test simulation mutants -- --nocapture
	MOZHAO_FEATURES=faults tests/run.sh --no-capture --test store --test chaos -E 'test(mutants) or test(known_bugs_show)'

bench: ## what the core costs: throughput, CPU, latency, memory (private servers; see benches/README.md)
	cargo bench --profile release --bench throughput

bench-test: ## the benchmarks, built for development and run once: that they still work, no numbers
	cargo test --quiet --bench pure
	cargo test --quiet --bench throughput -- --rounds 1 --requests 200 --fixed-seconds 1
	cargo test --quiet --bench pages -- --requests 2000 --times 1 --consoles 5 --load 50 --rounds 1

bench-scale: ## how that changes with calls, bytes, reviews, workers, a burst, history, a backlog; what an idle worker costs; pages over a million requests, 200 consoles
	cargo bench --profile release --bench throughput -- --scale
	cargo bench --profile release --bench pages

chaos: ## everything that may go wrong, with several seeds, in less than an hour; a table in target/chaos.md (tests/README.md)
	tests/chaos.sh

chaos-input: ## of that, the bad input alone: 100,000 mutations of whatever comes from outside, Schemathesis, cargo-fuzz
	tests/input.sh
