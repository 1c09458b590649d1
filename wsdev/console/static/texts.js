// Every text of the page, in each of its languages.

export const LANGUAGES = {
  en: { name: "English", dir: "ltr", place: 0 },
  fa: { name: "فارسی", dir: "rtl", place: 1 },
};

export let language = "en";

export function setLanguage(code) {
  language = code in LANGUAGES ? code : "en";
}

export function locale() {
  // The Gregorian calendar, as in the journal.
  return language === "fa" ? "fa-u-ca-gregory" : "en";
}

/** A value that keeps its own direction within a text from right to left. */
function isolated(value) {
  return LANGUAGES[language].dir === "rtl" ? `\u2068${value}\u2069` : value;
}

/** A text with its `{words}` filled in; `otherwise` if there is none of that key. */
export function t(key, values = {}, otherwise = key) {
  const texts = TEXTS[key];
  if (!texts) return otherwise;
  return texts[LANGUAGES[language].place]
    .replace(/\{(\w+)\}/g, (whole, name) => isolated(values[name] ?? whole));
}

export const TEXTS = {
  // Everywhere
  devices: ["Devices", "دستگاه‌ها"],
  cameras: ["Cameras", "دوربین‌ها"],
  door: ["At the door", "پشت در"],
  tokens: ["Tokens", "توکن‌ها"],
  to_content: ["Skip to the content", "رفتن به محتوا"],
  parts: ["Parts of the console", "بخش‌های کنسول"],
  language: ["Language", "زبان"],
  theme_is: ["Colours: {theme}", "رنگ‌ها: {theme}"],
  theme_auto: ["as the system", "مانند سیستم"],
  theme_light: ["light", "روشن"],
  theme_dark: ["dark", "تیره"],
  log_out: ["Log out", "خروج"],
  health: ["Health of the gateway", "وضعیت گیت‌وی"],
  asking: ["Asking the gateway…", "در حال پرسیدن از گیت‌وی…"],
  cancel: ["Cancel", "انصراف"],
  ago: ["{age} ago", "{age} پیش"],
  unreachable: ["The gateway cannot be reached.", "گیت‌وی در دسترس نیست."],

  // The connection to the gateway
  live_starting: ["Connecting", "در حال اتصال"],
  live_live: ["Live", "زنده"],
  live_lost: ["Reconnecting", "اتصال دوباره"],
  lost: [
    "The gateway does not answer. What you see may be old; this page comes back by itself.",
    "گیت‌وی پاسخ نمی‌دهد. آنچه می‌بینید شاید کهنه باشد؛ این صفحه خودش دوباره وصل می‌شود.",
  ],
  back_again: ["Connected again.", "دوباره وصل شد."],
  figure_connections: ["Connections", "اتصال‌ها"],
  figure_rate: ["Messages/s", "پیام در ثانیه"],
  figure_commit: ["Commit", "ثبت روی دیسک"],
  figure_waiting: ["Waiting", "در صف"],
  figure_disk: ["Disk", "دیسک"],
  disk_of: ["{used}, {free} free", "{used}، {free} آزاد"],
  figure_journal: ["Health", "سلامت"],
  well: ["ok", "خوب"],

  // Logging in
  log_in: ["Log in", "ورود"],
  login_why: [
    "The console needs an operator token from here. Make one on the gateway's host:",
    "کنسول از اینجا توکن اپراتور می‌خواهد. روی میزبان گیت‌وی یکی بسازید:",
  ],
  operator_token: ["Operator token", "توکن اپراتور"],
  login_operator_token_unknown: [
    "This is no operator token of this gateway.", "این توکن اپراتورِ این گیت‌وی نیست.",
  ],
  login_token_retired: ["This operator token has ended.", "اعتبار این توکن اپراتور تمام شده است."],
  login_too_many_attempts: [
    "Too many wrong tokens from here: wait a minute.",
    "توکن نادرست بیش از حد از اینجا آمد: یک دقیقه صبر کنید.",
  ],

  col_kind: ["Kind", "گونه"],
  col_state: ["State", "وضعیت"],
  // The list of devices
  filter_devices: ["Filter the devices", "پالایش دستگاه‌ها"],
  search: ["Search a name or address", "جستجوی نام یا نشانی"],
  order: ["Order", "ترتیب"],
  all: ["All", "همه"],
  here: ["Online", "برخط"],
  silent: ["Silent", "خاموش"],
  away: ["Offline", "برون‌خط"],
  by_name: ["By name", "بر پایهٔ نام"],
  by_proof: ["Freshest first", "تازه‌ترین نخست"],
  by_trip: ["Slowest first", "کندترین نخست"],
  summary: ["{online} online, {offline} offline", "{online} برخط، {offline} برون‌خط"],
  none_fits: ["No device fits the filter.", "هیچ دستگاهی با پالایش جور نیست."],
  none_yet: [
    "No device has connected yet. One that is refused shows at the door.",
    "هنوز دستگاهی وصل نشده است. آنکه راه نیابد پشت در دیده می‌شود.",
  ],
  col_name: ["Name", "نام"],
  col_class: ["Class", "گروه"],
  col_proof: ["Proof of life", "نشانهٔ زندگی"],
  col_trip: ["Round trip", "رفت‌وبرگشت"],
  col_address: ["Address", "نشانی"],
  col_traffic: ["Messages", "پیام‌ها"],
  col_version: ["Firmware", "میان‌افزار"],
  gone_for: ["gone for {age}", "{age} غایب"],

  // Cameras
  no_cameras: ["No camera is known yet.", "هنوز دوربینی شناخته نشده است."],
  no_picture: ["no picture yet", "هنوز تصویری نیست"],
  picture_of: ["Live picture of {name}", "تصویر زندهٔ {name}"],
  fps: ["{n} a second", "{n} در ثانیه"],

  // One device
  up: ["Up", "بالا"],
  back: ["All devices", "همهٔ دستگاه‌ها"],
  unknown_device: ["No device of this name is known.", "دستگاهی با این نام شناخته نیست."],
  disconnect: ["Disconnect", "قطع"],
  disconnect_ask: ["Disconnect {name}?", "{name} قطع شود؟"],
  disconnect_why: [
    "Its link is closed. Most devices come back at once.",
    "پیوندش بسته می‌شود. بیشتر دستگاه‌ها بی‌درنگ برمی‌گردند.",
  ],
  col_since: ["Connected since", "وصل از"],
  col_token: ["Token", "توکن"],
  col_session: ["Session", "نشست"],
  traffic: [
    "{in} in ({bytes_in}), {out} out ({bytes_out})",
    "{in} دریافت ({bytes_in})، {out} ارسال ({bytes_out})",
  ],
  token_class: ["Class token", "توکن گروه"],
  token_device: ["This device's own", "ویژهٔ همین دستگاه"],
  token_operator: ["Operator", "اپراتور"],
  token_none: ["None: trusted as local", "بدون توکن: محلی و معتمد"],
  messages: ["Messages", "پیام‌ها"],
  no_messages: ["Nothing is on record.", "چیزی ثبت نشده است."],
  binary: ["{size} of binary data", "{size} دادهٔ دودویی"],
  from_device: ["from the device", "از دستگاه"],
  to_device: ["to the device", "به دستگاه"],
  links: ["Earlier links", "پیوندهای پیشین"],
  col_started: ["Began", "آغاز"],
  col_lasted: ["Lasted", "مدت"],
  col_end: ["End", "پایان"],
  goes_on: ["goes on", "ادامه دارد"],

  // Commands
  commands: ["Commands", "فرمان‌ها"],
  servos: ["Servos", "سرووها"],
  servo: ["Servo {n}", "سروو {n}"],
  move: ["Move", "حرکت"],
  capture: ["Picture", "عکس"],
  quality: ["Quality (lower is finer)", "کیفیت (کمتر، بهتر)"],
  flash: ["Flash", "فلاش"],
  flash_intensity: ["Flash intensity", "شدت فلاش"],
  take_picture: ["Take a picture", "عکس بگیر"],
  any_command: ["Any command", "هر فرمانی"],
  json: ["The command as JSON", "فرمان به شکل JSON"],
  send: ["Send", "فرستادن"],
  not_json: ["This is no JSON: {why}", "این JSON نیست: {why}"],
  not_object: ["A command is a JSON object: {…}", "فرمان یک شیء JSON است: {…}"],
  if_away: ["If the device is away", "اگر دستگاه نباشد"],
  queue_no: ["do not wait", "منتظر نمان"],
  queue_for: ["wait for {time}", "تا {time} منتظر بمان"],
  outcomes: ["What became of the commands", "سرانجام فرمان‌ها"],
  withdraw: ["Withdraw", "پس گرفتن"],
  cmd_queued: ["queued", "در صف"],
  cmd_sent: ["sent", "فرستاده شد"],
  cmd_acknowledged: ["acknowledged", "تأیید شد"],
  cmd_failed: ["failed", "ناموفق"],
  cmd_ignored: ["ignored by the device", "دستگاه نادیده گرفت"],
  cmd_expired: ["expired", "مهلت گذشت"],
  cmd_lost: ["lost", "گم شد"],
  cmd_cancelled: ["withdrawn", "پس گرفته شد"],
  cmd_refused: ["not sent", "فرستاده نشد"],
  offline_since: [
    "The device is offline since {time}, last seen {age} ago. Nothing was sent.",
    "دستگاه از {time} برون‌خط است و {age} پیش دیده شد. چیزی فرستاده نشد.",
  ],
  offline_now: [
    "The device is offline. Nothing was sent.", "دستگاه برون‌خط است. چیزی فرستاده نشد.",
  ],

  // At the door
  door_summary: [
    "Last 24 hours: {n} times, addresses: {from}", "۲۴ ساعت گذشته: {n} بار، نشانی‌ها: {from}",
  ],
  door_empty: [
    "Nobody was refused or cut off in the last 24 hours.",
    "در ۲۴ ساعت گذشته کسی رد یا قطع نشده است.",
  ],
  new_ones: ["new", "تازه"],
  times: ["{n}×", "{n} بار"],
  fix: ["Fix", "چاره"],
  paths: ["Asked for", "درخواست"],
  agents: ["Client", "برنامه"],
  via: ["Through", "از راه"],

  // Tokens
  window: ["Handing out tokens", "واگذاری توکن"],
  window_open: ["Hand out for {time}", "واگذاری برای {time}"],
  window_close: ["Close now", "اکنون ببند"],
  window_is_open: [
    "Open: any device that asks gets its class's token for {time} more.",
    "باز است: هر دستگاهی که بپرسد تا {time} دیگر توکن گروهش را می‌گیرد.",
  ],
  window_is_closed: [
    "Closed: tokens are not handed out to strangers.", "بسته است: به ناشناس توکن داده نمی‌شود.",
  ],
  token_name: ["Only for the device named", "تنها برای دستگاهی به نام"],
  token_any: ["any", "هر دستگاه"],
  create: ["Create", "ساختن"],
  col_for: ["For", "برای"],
  col_ending: ["Ends in", "پایان‌نویسه"],
  col_created: ["Created", "ساخته‌شده"],
  col_do: ["Actions", "کارها"],
  token_state_active: ["active", "فعال"],
  token_state_retiring: ["ends in {time}", "پایان تا {time}"],
  token_state_retired: ["ended", "پایان‌یافته"],
  token_state_revoked: ["revoked", "باطل"],
  rotate: ["Rotate", "نو کردن"],
  that_rotate: ["Rotate the token of {name}", "نو کردن توکن {name}"],
  rotate_why: [
    "A new one is made. The old one lets devices in for {time} more.",
    "توکن تازه‌ای ساخته می‌شود. کهنه تا {time} دیگر کار می‌کند.",
  ],
  revoke: ["Revoke", "باطل کردن"],
  that_revoke: ["Revoke the token of {name}", "باطل کردن توکن {name}"],
  revoke_why: [
    "Devices that use it are cut off within 2 seconds and do not come in again.",
    "دستگاه‌های آن تا ۲ ثانیهٔ دیگر قطع می‌شوند و دیگر راه نمی‌یابند.",
  ],
  new_token: ["New token", "توکن تازه"],
  new_token_for: ["New token for {name}", "توکن تازه برای {name}"],
  shown_once: [
    "Copy it now: it is not shown again and not kept anywhere.",
    "اکنون کپی کنید: دوباره نشان داده نمی‌شود و جایی نگهداری نمی‌شود.",
  ],
  copy: ["Copy", "کپی"],
  copied: ["Copied.", "کپی شد."],
  copy_yourself: ["Press Ctrl-C to copy.", "برای کپی Ctrl-C را بزنید."],
  done: ["Done", "تمام"],
};
