"""Make the app's spoken prompts: one audio file and one table of offsets for each language.

    python3 scripts/voice.py          # needs espeak-ng and ffmpeg; writes src/sound/voice.{zh,en}.mp3 and .json

Chinese is written in pinyin with tones, because the engine's dictionary of characters guesses wrongly. To use a speaker
of the district instead, record each line to a WAV file `<language>/<name>.wav` and give the folder as the argument.
"""

import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

RATE = 22050
GAP = 0.18  # silence between clips: an encoder smears a little across a border
OUT = Path(__file__).parent.parent / "src" / "sound"
VOICES = {
    "zh": ["-v", "cmn-latn-pinyin", "-p", "52", "-a", "190"],
    "en": ["-v", "en-gb", "-p", "48", "-a", "190"],
}
SPEED, SPEED_OF_NUMBERS = "180", "150"  # words a minute
PINYIN = (
    "yi1 er4 san1 si4 wu3 liu4 qi1 ba1 jiu3 shi2 shi2-yi1 shi2-er4 shi2-san1 shi2-si4 shi2-wu3 shi2-liu4 shi2-qi1 "
    "shi2-ba1 shi2-jiu3 er4-shi2"
)
ENGLISH = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
PROMPTS = {
    # name: (what it says, pinyin, English)
    "tube_open": ("新管，请扫人", "xin1 guan3, qing3 sao3 ren2", "New tube. Scan people."),
    "full": ("已满，请封管", "yi3 man3, qing3 feng1 guan3", "Full. Seal the tube."),
    "sealed": ("已封管", "yi3 feng1 guan3", "Tube sealed."),
    "undone": ("已撤销", "yi3 che4 xiao1", "Undone."),
    "voided": ("已作废", "yi3 zuo4 fei4", "Voided."),
    "moved": ("已移管", "yi3 yi2 guan3", "Moved."),
    "again": ("刚扫过", "gang1 sao3 guo4", "Just scanned."),
    "in_tube": ("此人已在本管", "ci3 ren2 yi3 zai4 ben3 guan3", "Already in this tube."),
    "sampled": ("本轮已采过", "ben3 lun2 yi3 cai3 guo4", "Already sampled this round."),
    "tube_used": ("此管已用过", "ci3 guan3 yi3 yong4 guo4", "This tube was used."),
    "box_code": ("这是箱码，不是管码", "zhe4 shi4 xiang1 ma3, bu2 shi4 guan3 ma3", "This is a box code."),
    "bag_code": ("这是袋码，不是管码", "zhe4 shi4 dai4 ma3, bu2 shi4 guan3 ma3", "This is a bag code."),
    "bad_code": ("条码不对", "tiao2 ma3 bu2 dui4", "Wrong code."),
    "check_code": ("请核对条码", "qing3 he2 dui4 tiao2 ma3", "Check the code."),
    "bad_number": ("号码有误", "hao4 ma3 you3 wu4", "Check the number."),
    "tube_first": ("请先扫管码", "qing3 xian1 sao3 guan3 ma3", "Scan a tube first."),
    "register": ("名单外，请登记", "ming2 dan1 wai4, qing3 deng1 ji4", "Not on the list. Register."),
    "single": ("须单采", "xu1 dan1 cai3", "Needs a tube alone."),
    "mixed": ("不能同管，请核对", "bu4 neng2 tong2 guan3, qing3 he2 dui4", "Should not share this tube."),
    "too_long": ("开管超时，请封管", "kai1 guan3 chao1 shi2, qing3 feng1 guan3", "Open too long. Seal the tube."),
    "over_full": ("超过人数", "chao1 guo4 ren2 shu4", "Too many in this tube."),
    "failed": ("没有保存，请重试", "mei2 you3 bao3 cun2, qing3 chong2 shi4", "Not saved. Try again."),
    "short": ("人数不足", "ren2 shu4 bu4 zu2", "Fewer than planned."),
    "late": ("已补录", "yi3 bu3 lu4", "Late entry saved."),
}


def lines(language: str) -> dict[str, str]:
    """What each clip says."""
    numbers = (PINYIN if language == "zh" else ENGLISH).split()
    said = {f"n{n}": word.replace("-", " ") for n, word in enumerate(numbers, 1)}
    said.update({name: pinyin if language == "zh" else english for name, (_, pinyin, english) in PROMPTS.items()})
    return said


def run(*command: str | Path) -> None:
    """Run a tool of this machine, or stop."""
    subprocess.run(command, check=True)  # noqa: S603


def clean(source: Path, target: Path) -> None:
    """Cut the silence at both ends, shorten that within, and bring every clip to the same loudness."""
    cut = "silenceremove=start_periods=1:start_threshold=-52dB"
    pause = "silenceremove=stop_periods=-1:stop_duration=0.14:stop_threshold=-45dB"
    level = "speechnorm=e=8:r=0.0005:l=1,alimiter=limit=0.95,afade=t=in:d=0.01"
    chain = f"highpass=f=120,{cut},areverse,{cut},areverse,{pause},{level}"
    form = ["-ar", str(RATE), "-ac", "1", "-c:a", "pcm_s16le"]
    run("ffmpeg", "-v", "error", "-y", "-i", source, "-af", chain, *form, target)


def make(language: str, recorded: Path | None) -> None:
    """One sprite: all clips one after the other, and where each begins and ends."""
    sound, table, at = bytearray(), {}, 0.0
    silence = bytes(2 * int(RATE * GAP))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in lines(language).items():
            raw, cut = Path(folder) / "raw.wav", Path(folder) / "cut.wav"
            own = recorded / language / f"{name}.wav" if recorded else None
            if own and own.exists():
                raw.write_bytes(own.read_bytes())
            else:
                speed = SPEED_OF_NUMBERS if name[1:].isdigit() else SPEED
                run("espeak-ng", *VOICES[language], "-s", speed, "-w", raw, text)
            clean(raw, cut)
            with wave.open(str(cut)) as clip:
                frames = clip.readframes(clip.getnframes())
            seconds = len(frames) / 2 / RATE
            table[name] = [round(at, 3), round(seconds, 3)]
            sound += frames + silence
            at += seconds + len(silence) / 2 / RATE
        whole = Path(folder) / "whole.wav"
        with wave.open(str(whole), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound)
        target = OUT / f"voice.{language}.mp3"
        encode = ["-c:a", "libmp3lame", "-b:a", "24k", "-ac", "1", "-map_metadata", "-1", "-fflags", "+bitexact"]
        run("ffmpeg", "-v", "error", "-y", "-i", whole, *encode, target)
    (OUT / f"voice.{language}.json").write_text(json.dumps(table, separators=(",", ":")) + "\n")
    sys.stdout.write(f"{language} {at:.1f} s {target.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for each in VOICES:
        make(each, folder)
