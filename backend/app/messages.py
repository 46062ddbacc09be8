"""What subscribers read while a project runs, in the project's language. Codes never change."""

from __future__ import annotations

from app.models import Language

_TEXTS: dict[str, dict[Language, str]] = {
    "queued": {
        "en": "Waiting for a worker…",
        "zh-TW": "等待工作程序…",
        "ja": "ワーカーの空きを待っています…",
    },
    "script_start": {
        "en": "Writing the script…",
        "zh-TW": "正在準備腳本…",
        "ja": "台本を用意しています…",
    },
    "script_done": {
        "en": "Script ready: {scenes} scenes",
        "zh-TW": "腳本完成：{scenes} 個場景",
        "ja": "台本ができました：{scenes} シーン",
    },
    "voice": {
        "en": "Speaking sentence {n} of {total}…",
        "zh-TW": "正在錄製第 {n}／{total} 句…",
        "ja": "音声を録音しています：{n}／{total} 文…",
    },
    "pictures": {
        "en": "Preparing picture {n} of {total}…",
        "zh-TW": "正在準備第 {n}／{total} 張畫面…",
        "ja": "画像を準備しています：{n}／{total} 枚…",
    },
    "card_end": {
        "en": "Thanks for watching",
        "zh-TW": "感謝收看",
        "ja": "ご視聴ありがとうございました",
    },
    "credits": {
        "en": "Pictures:",
        "zh-TW": "圖片來源：",
        "ja": "画像提供：",
    },
    "credit_voice": {"en": "Voice: {who}", "zh-TW": "語音：{who}", "ja": "音声：{who}"},
    "credits_more": {
        "en": " … and {n} more",
        "zh-TW": "……以及其他 {n} 位",
        "ja": " ほか {n} 名",
    },
    "assets_start": {
        "en": "Making voice and pictures…",
        "zh-TW": "正在製作旁白與畫面…",
        "ja": "音声と画像を作成しています…",
    },
    "assets_done": {
        "en": "Voice and pictures ready",
        "zh-TW": "旁白與畫面完成",
        "ja": "音声と画像ができました",
    },
    "render_start": {
        "en": "Rendering the video…",
        "zh-TW": "正在渲染影片…",
        "ja": "動画を書き出しています…",
    },
    "segment": {
        "en": "Rendering scene {n} of {total}…",
        "zh-TW": "正在渲染第 {n}／{total} 個場景…",
        "ja": "シーンを書き出しています：{n}／{total}…",
    },
    "sound": {
        "en": "Mixing the sound…",
        "zh-TW": "正在混音…",
        "ja": "音声をミックスしています…",
    },
    "mux": {
        "en": "Putting the film together…",
        "zh-TW": "正在合成影片…",
        "ja": "動画を仕上げています…",
    },
    "render_done": {
        "en": "Video ready",
        "zh-TW": "影片完成",
        "ja": "動画ができました",
    },
    "thumbnail_start": {
        "en": "Drawing the thumbnail…",
        "zh-TW": "正在製作封面…",
        "ja": "サムネイルを作成しています…",
    },
    "thumbnail_done": {
        "en": "Thumbnail ready",
        "zh-TW": "封面完成",
        "ja": "サムネイルができました",
    },
    "upload_start": {
        "en": "Publishing…",
        "zh-TW": "正在發佈…",
        "ja": "公開しています…",
    },
    "upload_film": {
        "en": "Uploading: {sent} of {size} MB…",
        "zh-TW": "正在上傳：{sent}／{size} MB…",
        "ja": "アップロードしています：{sent}／{size} MB…",
    },
    "upload_extras": {
        "en": "Adding thumbnail, captions and playlist…",
        "zh-TW": "正在加入封面、字幕與播放清單…",
        "ja": "サムネイル、字幕、再生リストを追加しています…",
    },
    "upload_processing": {
        "en": "YouTube is processing the video…",
        "zh-TW": "YouTube 正在處理影片…",
        "ja": "YouTube が動画を処理しています…",
    },
    "upload_done": {
        "en": "Published",
        "zh-TW": "已發佈",
        "ja": "公開しました",
    },
    "retry": {
        "en": "Trying again in {delay} s (try {n} of {total}): {error}",
        "zh-TW": "{delay} 秒後重試（第 {n}／{total} 次）：{error}",
        "ja": "{delay} 秒後に再試行します（{n}／{total} 回目）：{error}",
    },
    "completed": {
        "en": "Done",
        "zh-TW": "完成",
        "ja": "完了しました",
    },
    "stages_completed": {
        "en": "The stages asked for are done",
        "zh-TW": "指定的階段已完成",
        "ja": "指定された工程が完了しました",
    },
    "waiting": {
        "en": "Waiting until {due}: {error}",
        "zh-TW": "等待至 {due}：{error}",
        "ja": "{due} まで待機します：{error}",
    },
    "rescued": {
        "en": "A worker was lost; another one goes on…",
        "zh-TW": "工作程序中斷，已由另一個接手…",
        "ja": "ワーカーが停止したため、別のワーカーが引き継いでいます…",
    },
    "cancelled": {
        "en": "Cancelled",
        "zh-TW": "已取消",
        "ja": "キャンセルしました",
    },
    "failed": {
        "en": "Failed: {error}",
        "zh-TW": "失敗：{error}",
        "ja": "失敗しました：{error}",
    },
    "batch_running": {
        "en": "{done} of {total} projects ended",
        "zh-TW": "已結束 {done}／{total} 個專案",
        "ja": "{total} 件中 {done} 件のプロジェクトが終わりました",
    },
    "batch_done": {
        "en": "Batch finished: {completed} completed, {failed} failed",
        "zh-TW": "批次完成：成功 {completed}，失敗 {failed}",
        "ja": "一括処理が完了しました：成功 {completed} 件、失敗 {failed} 件",
    },
    "batch_stopped": {
        "en": "Batch stopped at a failure: {completed} completed, {failed} failed, {cancelled} not made",
        "zh-TW": "批次因失敗而停止：成功 {completed}，失敗 {failed}，未製作 {cancelled}",
        "ja": "失敗があったため一括処理を停止しました：成功 {completed} 件、失敗 {failed} 件、未作成 {cancelled} 件",
    },
    "batch_cancelled": {
        "en": "Batch cancelled: {completed} completed, {failed} failed, {cancelled} cancelled",
        "zh-TW": "批次已取消：成功 {completed}，失敗 {failed}，取消 {cancelled}",
        "ja": "一括処理をキャンセルしました：成功 {completed} 件、失敗 {failed} 件、キャンセル {cancelled} 件",
    },
}


def text(code: str, language: Language, **facts: object) -> str:
    """Return the message of `code` with its facts filled in."""
    return _TEXTS[code][language].format_map(_Facts(facts))


class _Facts(dict[str, object]):
    """Facts of a message; one that a project's state no longer has must not end a run."""

    def __missing__(self, name: str) -> str:
        return "?"
