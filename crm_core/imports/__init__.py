"""Import of customers and interactions from files of other systems (数据导入)."""
