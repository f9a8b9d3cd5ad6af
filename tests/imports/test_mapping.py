"""Headers become fields: known spellings, any order, a file a deployer may edit."""

from pathlib import Path

import pytest

from crm_core.imports.files import Row
from crm_core.imports.mapping import SPELLINGS, Mapping, MappingProblem, Subject, load, suggest

CUSTOMERS = (
    "客户编号 客户名称 客户类型 联系人 手机 座机 微信号 身份证号/统一社会信用代码 省 市 区 详细地址 客户级别 意向车型 "
    "来源渠道 销售顾问 首次到店日期 最近联系日期 最近联系内容 备注"
)
INTERACTIONS = ("日期时间", "客户编号", "销售顾问", "录入终端", "方式", "下次联系日期", "内容")


def test_every_column_of_a_customers_export_is_known() -> None:
    header = tuple(CUSTOMERS.split())
    binding = suggest(header, Subject.CUSTOMERS).bind(header)
    assert binding.unknown == ()
    assert len(binding.fields) == len(header) == 20


def test_an_unknown_column_is_reported_and_the_order_is_free() -> None:
    binding = suggest(INTERACTIONS, Subject.INTERACTIONS).bind(INTERACTIONS)
    assert binding.unknown == ("录入终端",)
    row = Row(2, ("2025-03-01 10:00", "KH1", "甲", "PC-1", "电话", None, "内容"))
    assert (binding.cell(row, "external_id"), binding.cell(row, "method")) == ("KH1", "电话")


def test_a_column_ignored_on_purpose_is_not_reported() -> None:
    mapping = suggest(INTERACTIONS, Subject.INTERACTIONS).model_copy(update={"ignored": ("录入终端",)})
    assert mapping.bind(INTERACTIONS).unknown == ()


@pytest.mark.parametrize(
    "header", [("Customer Name", "Mobile"), ("customer_name", " MOBILE "), ("ＮＡＭＥ", "手机号码")]
)
def test_width_case_spaces_and_language_of_a_header_do_not_matter(header: tuple[str, ...]) -> None:
    assert set(suggest(header, Subject.CUSTOMERS).bind(header).fields) == {"name", "phone"}


@pytest.mark.parametrize(
    ("subject", "header", "field"),
    [
        (Subject.CUSTOMERS, ("客户编号", "手机"), "name"),
        (Subject.CUSTOMERS, ("客户名称", "备注"), "phone / landline / wechat"),
        (Subject.INTERACTIONS, ("客户编号", "内容"), "occurred_at"),
        (Subject.INTERACTIONS, ("日期时间", "内容"), "external_id"),
    ],
)
def test_a_missing_column_is_named(subject: Subject, header: tuple[str, ...], field: str) -> None:
    with pytest.raises(MappingProblem) as caught:
        suggest(header, subject)
    assert (caught.value.code, caught.value.params["field"]) == ("COLUMN_MISSING", field)
    assert "缺少列" in caught.value.message("zh-CN")


def test_two_columns_for_one_field_are_refused() -> None:
    with pytest.raises(MappingProblem, match="both mapped"):
        suggest(("客户名称", "姓名", "手机"), Subject.CUSTOMERS)


def test_two_columns_of_phones_are_read_both() -> None:
    header = ("客户名称", "手机", "联系电话")
    binding = suggest(header, Subject.CUSTOMERS).bind(header)
    assert binding.cells(Row(2, ("甲", "1", "2")), "phone") == (("手机", "1"), ("联系电话", "2"))


@pytest.mark.parametrize("subject", list(Subject))
def test_a_mapping_survives_its_file(tmp_path: Path, subject: Subject) -> None:
    header = tuple(CUSTOMERS.split()) if subject is Subject.CUSTOMERS else INTERACTIONS
    mapping = suggest(header, subject).model_copy(update={"ignored": ('带"引号"\\的列\n👍\x7f',)})
    mapping.save(tmp_path / "mapping.toml")
    assert load(tmp_path / "mapping.toml") == mapping


def test_an_edited_mapping_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(
        'subject = "customers"\n[columns]\n"公司" = "name"\n"号码" = "phone"\n[values.grade]\n"钻石" = "VIP"\n',
        encoding="utf-8",
    )
    binding = load(path).bind(("号码", "公司", "手机"))
    assert binding.unknown == ("手机",)
    assert (binding.meaning("grade", " 钻石"), binding.meaning("grade", "A")) == ("VIP", None)


def test_a_closed_list_that_a_mapping_leaves_out_is_the_usual_one() -> None:
    binding = Mapping(subject=Subject.CUSTOMERS, columns={"甲": "name", "乙": "phone"}).bind(("甲", "乙"))
    assert (binding.meaning("grade", "vip"), binding.meaning("kind", "单位")) == ("VIP", "ORGANISATION")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("not toml", "MAPPING_UNREADABLE"),
        ('subject = "houses"\n[columns]\n', "MAPPING_UNREADABLE"),
        ('subject = "customers"\ncolums = 1\n[columns]\n', "MAPPING_UNREADABLE"),
        ('subject = "customers"\n[columns]\n"a" = "nmae"\n', "FIELD_UNKNOWN"),
        ('subject = "customers"\n[columns]\n"a" = "name"\n"b" = "name"\n', "FIELD_TWICE"),
    ],
)
def test_a_wrong_mapping_file_is_refused(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MappingProblem) as caught:
        load(path)
    assert caught.value.code == code


def test_no_spelling_stands_for_two_fields() -> None:
    for fields in SPELLINGS.values():
        spelled = [name for field, names in fields.items() for name in {field.replace("_", " "), *names}]
        assert len(spelled) == len(set(spelled))


def test_a_mapping_cannot_be_changed_by_accident() -> None:
    mapping = Mapping(subject=Subject.CUSTOMERS, columns={"a": "name"})
    with pytest.raises(ValueError, match="frozen"):
        mapping.subject = Subject.INTERACTIONS  # type: ignore[misc]
