"""Readings of Taiwan, and of characters whose company decides how they are read.

Stronger than the phrases of pypinyin, which are the Mainland's. Where the Ministry of Education's
list (1999) and everyone's speech part ways, speech is followed: 和 is hé, 包括 bāo kuò.
"""

from __future__ import annotations

import re
from functools import cache

CHARACTERS = {
    "期": "qi2", "企": "qi4", "究": "jiu4", "微": "wei2", "危": "wei2", "惜": "xi2", "昔": "xi2",
    "擊": "ji2", "突": "tu2", "擁": "yong3", "液": "yi4", "暫": "zhan4", "髮": "fa3", "攜": "xi1",
    "叔": "shu2", "播": "bo4", "識": "shi4", "築": "zhu2", "帆": "fan2", "儲": "chu2",
    "檔": "dang3", "夾": "jia2", "跌": "die2", "穴": "xue4", "誼": "yi2", "悄": "qiao3",
    "殼": "ke2", "綜": "zong4", "息": "xi2", "血": "xie3", "誰": "shei2", "曝": "pu4",
    "質": "zhi2", "隻": "zhi1", "麼": "me5", "俱": "ju4", "諷": "feng4", "偽": "wei4",
    "框": "kuang1", "淑": "shu2", "脊": "ji2", "寂": "ji2", "剝": "bo1", "角": "jiao3",
    "鬆": "song1", "發": "fa1", "乾": "gan1", "捲": "juan3", "鬥": "dou4", "髒": "zang1",
    "臟": "zang4", "儘": "jin3", "盡": "jin4", "捨": "she3", "幹": "gan4", "衝": "chong1",
    "葉": "ye4", "適": "shi4", "廠": "chang3", "們": "men5", "裡": "li3", "還": "hai2",
    "嗯": "en1", "績": "ji1", "模": "mo2", "卡": "ka3", "夕": "xi4", "汐": "xi4", "跡": "ji1",
    "蹟": "ji1", "菌": "jun4", "酵": "xiao4", "堤": "ti2", "馴": "xun2", "凸": "tu2", "拙": "zhuo2",
    "薇": "wei2", "巍": "wei2", "錫": "xi2", "擲": "zhi2", "酪": "luo4", "烙": "luo4", "艘": "sao1",
    "辱": "ru4", "鞠": "ju2", "緝": "qi4", "椰": "ye2", "剖": "pou3", "澎": "peng2",
}  # fmt: skip
"""Character as written → its reading in Taiwan (Ministry of Education, 1999), where a Mainland
phrase table says otherwise or the Simplified form is two characters in one."""

_PHRASES = {
    "垃圾": "le4 se4", "人質": "ren2 zhi4", "質押": "zhi2 ya1", "乾坤": "qian2 kun1",
    "乾隆": "qian2 long2", "薄荷": "bo4 he2", "角力": "jue2 li4", "還原": "huan2 yuan2",
    "還給": "huan2 gei3", "還債": "huan2 zhai4", "還錢": "huan2 qian2", "歸還": "gui1 huan2",
    "償還": "chang2 huan2", "癌症": "ai2 zheng4", "質量": "zhi2 liang4",
    "企鵝": "qi4 e2", "尷尬": "gan1 ga4", "曝光": "pu4 guang1",
    "骰子": "tou2 zi5", "攜帶": "xi1 dai4", "說服": "shuo1 fu2", "地板": "di4 ban3",
    "頭髮": "tou2 fa3", "銀行": "yin2 hang2", "行動": "xing2 dong4", "長大": "zhang3 da4",
    "長出": "zhang3 chu1", "長成": "zhang3 cheng2", "成長": "cheng2 zhang3", "一行": "yi4 hang2",
    "音樂": "yin1 yue4", "快樂": "kuai4 le4", "重複": "chong2 fu4", "重新": "chong2 xin1",
    "只要": "zhi3 yao4", "為了": "wei4 le5", "因為": "yin1 wei4", "好奇": "hao4 qi2",
    "目的地": "mu4 di4 di4", "分辨率": "fen1 bian4 lv4", "得到": "de2 dao4", "獲得": "huo4 de2",
    "值得": "zhi2 de5", "覺得": "jue2 de5", "記得": "ji4 de5", "懂得": "dong3 de5",
    "便宜": "pian2 yi2", "方便": "fang1 bian4", "大夫": "dai4 fu5", "處理": "chu3 li3",
    "教學": "jiao4 xue2", "教室": "jiao4 shi4", "轉換": "zhuan3 huan4", "載入": "zai4 ru4",
    "還書": "huan2 shu1", "還款": "huan2 kuan3", "暖和": "nuan3 huo5", "背包": "bei1 bao1",
    "背著": "bei1 zhe5", "倒是": "dao4 shi4", "相片": "xiang4 pian4", "照片": "zhao4 pian4",
    "影片": "ying3 pian4", "唱片": "chang4 pian4", "數一數": "shu3 yi1 shu3", "數到": "shu3 dao4",
    "數著": "shu3 zhe5", "數了": "shu3 le5", "數完": "shu3 wan2", "不得了": "bu4 de2 liao3",
    "大不了": "da4 bu4 liao3", "免不了": "mian3 bu4 liao3", "忘不了": "wang4 bu4 liao3",
    "腳著地": "jiao3 zhuo2 di4", "先著地": "xian1 zhuo2 di4", "一會兒": "yi4 hui3 er5",
    "法國": "fa4 guo2", "法文": "fa4 wen2", "法語": "fa4 yu3", "校長": "xiao4 zhang3",
    "行長": "hang2 zhang3", "分行": "fen1 hang2", "行列": "hang2 lie4", "行業": "hang2 ye4",
    "同行": "tong2 hang2", "樂團": "yue4 tuan2", "樂器": "yue4 qi4", "樂曲": "yue4 qu3",
    "樂隊": "yue4 dui4", "樂譜": "yue4 pu3", "配樂": "pei4 yue4", "聲樂": "sheng1 yue4",
    "吃了": "chi1 le5", "好了": "hao3 le5", "為此": "wei4 ci3", "為何": "wei4 he2",
    "重慶": "chong2 qing4", "重疊": "chong2 die2", "量測": "liang2 ce4", "丈量": "zhang4 liang2",
    "下載": "xia4 zai4", "負載": "fu4 zai4", "調整": "tiao2 zheng3", "資料夾": "zi1 liao4 jia2",
    "行李": "xing2 li3", "行程": "xing2 cheng2", "在地": "zai4 di4", "湖泊": "hu2 bo2",
    "似的": "si4 de5", "馬尾": "ma3 wei3", "量身": "liang2 shen1", "姓曾": "xing4 zeng1",
    "曾先生": "zeng1 xian1 sheng1", "曾小姐": "zeng1 xiao3 jie3", "曾老師": "zeng1 lao3 shi1",
    "朴子": "pu2 zi3", "艋舺": "meng3 jia3", "大圳": "da4 zun4", "水圳": "shui3 zun4",
    "曾文": "zeng1 wen2", "睡不著": "shui4 bu4 zhao2", "找不著": "zhao3 bu4 zhao2",
    "豬圈": "zhu1 juan4", "羊圈": "yang2 juan4", "刈包": "gua4 bao1", "擔仔麵": "dan4 zai3 mian4",
    "蚵仔": "ou2 a1", "鮮少": "xian3 shao3", "重重的": "zhong4 zhong4 de5",
    "重重地": "zhong4 zhong4 de5", "曾女士": "zeng1 nv3 shi4", "曾太太": "zeng1 tai4 tai5",
}  # fmt: skip
"""Phrase as written → its reading in Taiwan, stronger than the characters' own."""

_MUST = frozenset("非總必還就也都只可又")
_WHO = frozenset("我你妳您他她它們")
_GAIN = frozenset(("得到", "得知", "得獎", "得分", "得以", "得意", "得失", "得獲", "得主", "得票"))
_AGAIN = frozenset("來做寫看聽講說畫建生拍現返組啟設置考修溫逢演播讀印製整回新複疊申")
_PLOT = frozenset(
    "塊片土天場當工本各外內兩某此該每陸田野產基營墓綠荒草雪沙山空平高低盆窪濕耕農林牧"
)
_NOT_A_VERB = frozenset(
    "的是有在和與也都很就上下裡面中內外方區點板球形圖位帶獄震鐵毯瓜主理質標址窖"
)
_GROWN = frozenset("大出成得在滿高老官輩者相")
_MUST_DO = frozenset("要去先再")
_HEADS = frozenset("成生增助滋會校部市院局隊班組課處司會家社船店團縣鄉鎮村里所首酋")
_R_COLOURED = frozenset("這那哪點玩花事味勁塊這")


def by_company(text: str, i: int) -> str | None:
    """Return the reading of a common character that only its neighbours decide."""
    c, before, after = text[i], text[i - 1 : i], text[i + 1 : i + 2]
    if c == "得":
        return _must_or_can(text, i)
    if c == "地":
        return _of_manner(text, i)
    if c == "長":
        return "zhang3" if after in _GROWN or before in _HEADS else "chang2"
    if c == "重":
        return "chong2" if after in _AGAIN else None
    r_coloured = c in "兒儿" and before in _R_COLOURED and after not in ("子", "童", "女", "科")
    return "er5" if r_coloured else None


def _must_or_can(text: str, i: int) -> str | None:
    """Return how 得 is read: dei3 for must, de5 after a verb."""
    before, gained = text[i - 1 : i], text[i : i + 2] in _GAIN
    if before in _WHO and text[i + 1 : i + 2] == "了":
        return "de2"
    if before in _MUST or (before in _WHO and not gained) or text[i + 1 : i + 2] in _MUST_DO:
        return "dei3"
    return "de5" if before and not gained else None


def _of_manner(text: str, i: int) -> str | None:
    """Return de5 for 地 between an adverb and a verb, where no phrase of the list has it."""
    before, after = text[i - 1 : i], text[i + 1 : i + 2]
    if i < 1 or not after or before in _PLOT or after in _NOT_A_VERB:
        return None
    return "de5"


def phrases(text: str) -> list[tuple[int, list[str]]]:
    """Return where phrases with a reading of their own begin, and their syllables."""
    return [(m.start(), _PHRASES[m[0]].split()) for m in _pattern().finditer(text)]


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_PHRASES, key=len, reverse=True)))
