"""The stories of `bench looks`: one of each kind of scene, in the three languages."""

from __future__ import annotations

STORIES = {
    "zh-TW": """---
language: zh-TW
---

# 燈塔怎麼亮起來

## 燈塔怎麼亮起來

燈塔只有一件工作：讓人看見。

## 站得高

![夕陽下，海岬上的老燈塔](pictures/evening.jpg)

它站在最高的岩石上，把光送到海的另一邊。

## 三樣東西

- 一盞不睡覺的燈
- 一片收集光線的透鏡
- 一個天天擦亮它們的人

## 看得多遠

天氣好的晚上，光可以照到41公里外。

## 老守燈人說

「大海原諒很多事，卻從不原諒一座沒有亮的燈塔。」

## 一圈又一圈

![夜裡的燈塔，光束劃過銀河](pictures/night.jpg)

每一座燈塔閃的節奏都不一樣，船長數一數，就知道自己在哪裡。

## 謝謝收看

下次看見海邊的光，記得替守燈的人說聲謝謝。
""",
    "en": """---
language: en
---

# How a Lighthouse Shines

## How a Lighthouse Shines

A lighthouse has one job: to be seen.

## Standing high

![An old lighthouse on a cape at sunset](pictures/evening.jpg)

It stands on the highest rock, and sends its light across the water.

## Three things keep it alight

- A lamp that never sleeps
- A lens that gathers the light
- A keeper who polishes both

## How far it reaches

On a clear night the beam can be seen 41 kilometres away.

## What an old keeper said

“The sea forgives a great deal, but never a tower that is dark.”

## Round and round

![The lighthouse by night, its beam across the Milky Way](pictures/night.jpg)

Every lighthouse has a rhythm of its own. Captains count the flashes, and know where they are.

## Thank you for watching

When you next see a light by the sea, think of those who kept it burning.
""",
    "ja": """---
language: ja
---

# 灯台はなぜ光る

## 灯台はなぜ光る

灯台の仕事は、ただひとつ。見つけてもらうことです。

## 高い場所に立つ

![夕日の岬に立つ古い灯台](pictures/evening.jpg)

いちばん高い岩の上から、海の向こうへ光を届けます。

## 三つの道具

- 眠らないランプ
- 光を集めるレンズ
- 毎日それを磨く人

## どこまで届くか

晴れた夜には、光は41キロ先まで届きます。

## ある灯台守の言葉

「海はたいていのことを許す。だが、消えた灯台だけは許さない。」

## くるくる回る

![夜の灯台と天の川](pictures/night.jpg)

光り方は、灯台ごとに違います。船長は数を数えて、自分の居場所を知るのです。

## ご覧いただきありがとうございました

海辺で光を見かけたら、守ってきた人のことを思い出してください。
""",
}
"""Language → a story of about half a minute: title, pictures, list, number, quote, end."""
