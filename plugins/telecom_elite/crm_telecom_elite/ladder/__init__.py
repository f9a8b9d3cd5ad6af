"""Posts in three series and the pay ladder with its dated standards (岗位与薪酬等级)."""
