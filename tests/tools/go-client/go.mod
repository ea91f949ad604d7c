module vsecm-scout.test/go-client

go 1.26
