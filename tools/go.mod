module github.com/seed4677ff1f/tandem/tools

go 1.26
