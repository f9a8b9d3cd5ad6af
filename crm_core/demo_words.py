"""Made-up names, numbers and sentences for the demo company; nobody real is meant."""

from __future__ import annotations

import random
from typing import Any, Final

SURNAMES: Final = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜谢邹苏潘葛范彭鲁韦马方任袁柳"
GIVEN: Final = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉萍红建文博宇轩欣怡雨晨思远子涵佳琪俊嘉"
PLACES: Final = (
    ("江苏省", "苏州市", ("姑苏区", "虎丘区", "吴中区", "相城区")),
    ("浙江省", "杭州市", ("西湖区", "拱墅区", "滨江区", "余杭区")),
    ("上海市", "上海市", ("浦东新区", "徐汇区", "闵行区", "嘉定区")),
    ("安徽省", "合肥市", ("蜀山区", "庐阳区", "包河区")),
)
CHANNELS: Final = ("自然到店", "转介绍", "抖音", "汽车之家", "车展", "电话咨询")
TRADES: Final = ("物流", "建筑", "贸易", "餐饮", "科技", "租赁", "装饰")
COMPANY_WORDS: Final = ("华信", "鼎盛", "恒达", "瑞丰", "中联", "新越", "东方", "金桥", "嘉和", "远航")
STAGES: Final = ("PROSPECT",) * 11 + ("CUSTOMER",) * 6 + ("DORMANT",) * 2 + ("LOST",)
GRADES: Final = ("A", "B", "B", "C", "C", "C", "VIP", None)
TALKS: Final = (
    ("call", "电话跟进", "客户在比较两款车型，关心油耗与保养费用。"),
    ("wechat", "发送报价", "已发送名图与途胜的报价单，客户周末与家人商量。"),
    ("showroom_visit", "到店看车", "客户到店看车，对后排空间满意，希望再试驾一次。"),
    ("sms", "活动通知", "通知周末团购活动，客户回复有兴趣。"),
    ("call", "邀约到店", "邀请本周六到店试驾，客户表示时间待定。"),
    ("wechat", "置换评估", "客户想置换旧车，已约评估师上门。"),
)
TASKS: Final = ("回访试驾感受", "发送金融方案", "确认到店时间", "跟进置换评估结果", "寄送合同样本")
POSTS: Final = ("采购经理", "行政主管", "总经理助理", "车队队长", "财务经理")


def person(rng: random.Random) -> str:
    """A person's name."""
    return rng.choice(SURNAMES) + "".join(rng.choices(GIVEN, k=rng.choice((1, 2, 2))))


def mobile(rng: random.Random) -> str:
    """A mobile number."""
    return rng.choice(("138", "139", "150", "159", "186", "189")) + f"{rng.randrange(10**8):08d}"


def customer(rng: random.Random) -> dict[str, Any]:
    """Input of `customer.create`."""
    organisation = rng.random() < 0.25  # noqa: PLR2004  # a quarter are companies
    province, city, districts = rng.choice(PLACES)
    return {
        "name": company(rng, city) if organisation else person(rng),
        "customer_kind": "ORGANISATION" if organisation else "PERSON",
        "phones": [{"number": mobile(rng)}],
        "province": province,
        "city": city,
        "district": rng.choice(districts),
        "source_channel": rng.choice(CHANNELS),
        "stage": rng.choice(STAGES),
        "grade": rng.choice(GRADES),
        "tags": rng.sample(("置换", "增购", "首购", "试驾过", "金融"), k=rng.choice((0, 1, 1, 2))),
    }


def company(rng: random.Random, city: str) -> str:
    """A company's name."""
    number = "".join(rng.choices(COMPANY_WORDS, k=1))
    return f"{city.removesuffix('市')}{number}{rng.choice(GIVEN)}{rng.choice(TRADES)}有限公司"


def contact(rng: random.Random) -> dict[str, Any]:
    """Input of `contact.create`, but for the customer."""
    return {"name": person(rng), "title": rng.choice(POSTS)}


def interaction(rng: random.Random) -> dict[str, Any]:
    """Input of `interaction.log`, but for customer and moment."""
    kind, subject, content = rng.choice(TALKS)
    return {"kind": kind, "subject": subject, "content": content, "duration_minutes": rng.randint(3, 45)}


def task(rng: random.Random) -> dict[str, Any]:
    """Input of `task.create`, but for customer and day."""
    return {"title": rng.choice(TASKS)}
