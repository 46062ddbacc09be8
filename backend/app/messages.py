"""What subscribers read while a project runs, in the project's language. Codes never change."""

from __future__ import annotations

from app.models import Language

_TEXTS: dict[str, dict[Language, str]] = {
    "queued": {"en": "Waiting for a worker…", "zh-TW": "等待工作程序…"},
    "script_start": {"en": "Writing the script…", "zh-TW": "正在準備腳本…"},
    "script_done": {"en": "Script ready: {scenes} scenes", "zh-TW": "腳本完成：{scenes} 個場景"},
    "voice": {"en": "Speaking sentence {n} of {total}…", "zh-TW": "正在錄製第 {n}／{total} 句…"},
    "pictures": {
        "en": "Preparing picture {n} of {total}…",
        "zh-TW": "正在準備第 {n}／{total} 張畫面…",
    },
    "credits": {"en": "Pictures:", "zh-TW": "圖片來源："},
    "credits_more": {"en": " … and {n} more", "zh-TW": "……以及其他 {n} 位"},
    "assets_start": {"en": "Making voice and pictures…", "zh-TW": "正在製作旁白與畫面…"},
    "assets_done": {"en": "Voice and pictures ready", "zh-TW": "旁白與畫面完成"},
    "render_start": {"en": "Rendering the video…", "zh-TW": "正在渲染影片…"},
    "segment": {
        "en": "Rendering scene {n} of {total}…",
        "zh-TW": "正在渲染第 {n}／{total} 個場景…",
    },
    "sound": {"en": "Mixing the sound…", "zh-TW": "正在混音…"},
    "mux": {"en": "Putting the film together…", "zh-TW": "正在合成影片…"},
    "render_done": {"en": "Video ready", "zh-TW": "影片完成"},
    "thumbnail_start": {"en": "Drawing the thumbnail…", "zh-TW": "正在製作封面…"},
    "thumbnail_done": {"en": "Thumbnail ready", "zh-TW": "封面完成"},
    "upload_start": {"en": "Publishing…", "zh-TW": "正在發佈…"},
    "upload_film": {
        "en": "Uploading: {sent} of {size} MB…",
        "zh-TW": "正在上傳：{sent}／{size} MB…",
    },
    "upload_extras": {
        "en": "Adding thumbnail, captions and playlist…",
        "zh-TW": "正在加入封面、字幕與播放清單…",
    },
    "upload_processing": {
        "en": "YouTube is processing the video…",
        "zh-TW": "YouTube 正在處理影片…",
    },
    "upload_done": {"en": "Published", "zh-TW": "已發佈"},
    "retry": {
        "en": "Trying again in {delay} s (try {n} of {total}): {error}",
        "zh-TW": "{delay} 秒後重試（第 {n}／{total} 次）：{error}",
    },
    "completed": {"en": "Done", "zh-TW": "完成"},
    "stages_completed": {"en": "The stages asked for are done", "zh-TW": "指定的階段已完成"},
    "waiting": {
        "en": "Waiting until {due}: {error}",
        "zh-TW": "等待至 {due}：{error}",
    },
    "rescued": {
        "en": "A worker was lost; another one goes on…",
        "zh-TW": "工作程序中斷，已由另一個接手…",
    },
    "cancelled": {"en": "Cancelled", "zh-TW": "已取消"},
    "failed": {"en": "Failed: {error}", "zh-TW": "失敗：{error}"},
    "batch_running": {
        "en": "{done} of {total} projects ended",
        "zh-TW": "已結束 {done}／{total} 個專案",
    },
    "batch_done": {
        "en": "Batch finished: {completed} completed, {failed} failed",
        "zh-TW": "批次完成：成功 {completed}，失敗 {failed}",
    },
    "batch_stopped": {
        "en": "Batch stopped at a failure: {completed} completed, {failed} failed, {cancelled} not made",
        "zh-TW": "批次因失敗而停止：成功 {completed}，失敗 {failed}，未製作 {cancelled}",
    },
    "batch_cancelled": {
        "en": "Batch cancelled: {completed} completed, {failed} failed, {cancelled} cancelled",
        "zh-TW": "批次已取消：成功 {completed}，失敗 {failed}，取消 {cancelled}",
    },
}


def text(code: str, language: Language, **facts: object) -> str:
    """Return the message of `code` with its facts filled in."""
    return _TEXTS[code][language].format_map(_Facts(facts))


class _Facts(dict[str, object]):
    """Facts of a message; one that a project's state no longer has must not end a run."""

    def __missing__(self, name: str) -> str:
        return "?"
