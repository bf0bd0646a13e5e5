//! Words that stand on many pages, and the words for the engine's own words.

use super::{Texts, texts};

texts! { Common {
    product: "Mozhao", "墨诏";
    skip: "Skip to the content", "跳到正文";
    menu: "Places", "导航";
    search: "Search requests", "搜索请求";
    search_key: "Search (press /)", "搜索（按 / 键）";
    help: "Help", "帮助";
    sign_out: "Sign out", "退出登录";
    signed_in_as: "Signed in as", "当前登录";
    language: "Language", "语言";
    english: "English", "English";
    chinese: "简体中文", "简体中文";
    theme: "Appearance", "外观";
    auto: "Like the system", "跟随系统";
    light: "Light", "浅色";
    dark: "Dark", "深色";
    keys: "Single keys", "单键快捷键";
    on: "On", "开";
    off: "Off", "关";
    live: "Live", "实时更新";
    live_on: "Live: follows what happens", "实时：自动更新";
    live_off: "Paused", "已暂停";
    live_lost: "Not live: no connection", "连接已断开，未更新";
    live_waiting: "Changes waiting", "有更新待显示";
    pause: "Pause", "暂停";
    go_live: "Follow", "恢复更新";
    more: "Next page", "下一页";
    comma: ", ", "、";
    all: "All", "全部";
    filter: "Filter", "筛选";
    nothing: "Nothing here", "暂无内容";
    process: "Process", "流程";
    version: "Version", "版本";
    version_n: "version {}", "版本 {}";
    request: "Request", "请求";
    customer: "Customer", "客户";
    state: "State", "状态";
    step: "Step", "步骤";
    when: "When", "时间";
    by: "By", "操作人";
    reason: "Reason", "原因";
    details: "Details", "详情";
    cancel: "Cancel", "取消";
    now: "now", "刚刚";
    days: "{} d", "{} 天";
    hours: "{} h", "{} 小时";
    minutes: "{} min", "{} 分钟";
    seconds: "{} s", "{} 秒";
    ago: "{} ago", "{}前";
    left: "{} left", "剩余 {}";
    overdue: "{} overdue", "已超时 {}";
    table_of: "As a table", "以表格显示";
    name: "Name", "名称";
} }

texts! { Nav {
    overview: "Overview", "概览";
    inbox: "Reviews", "复核";
    requests: "Requests", "请求";
    defects: "Defects", "缺陷";
    dependencies: "Dependencies", "依赖";
    workers: "Workers", "工作进程";
    processes: "Processes", "流程";
    decisions: "Decisions", "决定";
    ledger: "Ledger", "账簿";
} }

texts! { Kinds {
    queued: "queued", "排队中";
    running: "running", "进行中";
    waiting: "waiting", "等待中";
    parked: "parked", "已搁置";
    in_review: "in review", "复核中";
    done: "done", "已完成";
    refused: "refused", "已拒绝";
    withdrawn: "withdrawn", "已撤回";
    expired: "expired", "已过期";
    approve: "Approve", "通过";
    refuse: "Refuse", "拒绝";
    retry: "Do the step again", "重新执行该步骤";
    amend: "Amend and check again", "修改并重新核查";
    ask_customer: "Ask the customer", "询问客户";
    applied_choice: "It was applied", "已生效";
    not_applied_choice: "It was not applied", "未生效";
    pass: "pass", "通过";
    review: "asks a person", "需人工";
    failed: "failed", "失败";
    applied: "applied", "已生效";
    not_applied: "not applied", "未生效";
    unknown: "unknown", "结果不明";
    open: "open", "待处理";
    deciding: "being decided", "决定生效中";
    decided: "decided", "已决定";
    cancelled: "not asked any more", "已取消";
    closed: "works", "正常";
    half_open: "one request tries it", "试探中";
    resuming: "is resumed", "恢复中";
    stopped: "the try failed", "试探失败";
    breaker_open: "down", "不可用";
    submitter: "submitter", "提交方";
    reviewer: "reviewer", "复核员";
    operator: "operator", "运维";
    auditor: "auditor", "审计";
    admin: "admin", "管理员";
    verify: "verify", "核验";
    execute: "execute", "执行";
    wait: "wait", "等待";
    review_step: "review", "复核";
    fact_accepted: "Accepted", "已受理";
    fact_started: "Its turn came", "轮到处理";
    fact_verdict: "Verdict", "核验结论";
    fact_skipped: "Step skipped", "跳过步骤";
    fact_failed: "Attempt failed, without effect", "尝试失败（未生效）";
    fact_intent: "About to carry out", "即将执行";
    fact_result: "Result", "执行结果";
    fact_waiting: "Waits", "进入等待";
    fact_callback: "Callback came in", "收到回调";
    fact_callback_ignored: "Callback decided nothing", "回调未产生结论";
    fact_review_opened: "A person is asked", "转人工复核";
    fact_decided: "A person decided", "人工决定";
    fact_supplemented: "Customer sent what was asked for", "客户已补充";
    fact_parked: "Parked", "搁置";
    fact_resumed: "Resumed", "恢复";
    fact_moved: "Moved to another version", "迁移到其他版本";
    fact_turned_back: "Turned back: what was done is undone", "折返：撤销已执行的操作";
    fact_withdrawal_refused: "Withdrawal came too late", "撤回过晚";
    fact_noted: "Note", "备注";
    fact_ended: "Ended", "结束";
} }

texts! { Requests {
    title: "Requests", "请求";
    query: "Search", "搜索条件";
    search: "Search", "搜索";
    query_hint: "A request's or customer's id, or words such as process:card_unbind state:parked age:>1h", "请求号或客户号，或条件，如 process:card_unbind state:parked age:>1h";
    query_help: "Words that narrow the search: {}. Several values stand between commas.", "可用条件：{}。多个值以逗号分隔。";
    message_alone: "Ids are the senders' own: say whose this is, with producer: beside message:.", "编号由发送方自定：请在 message: 旁用 producer: 注明发送方。";
    bad_query: "This part of the search is not understood: {}", "无法理解的搜索条件：{}";
    empty: "No request fits this search.", "没有符合条件的请求。";
    none_yet: "No request has come in yet.", "尚无请求。";
    looked_back_to: "Looked back as far as {}; what is older has not been looked at yet.", "已查到 {}；更早的请求尚未查找。";
    look_further: "Look further back", "继续向前查找";
    accepted: "Accepted", "受理时间";
    updated: "Last change", "最近变化";
    ended: "Ended", "结束时间";
    took: "Took", "耗时";
    title_one: "Request", "请求";
    payload: "What was sent", "请求内容";
    no_payload: "The version of its process is not known here, so nothing of it is shown.", "此处不认识该流程版本，因此不显示内容。";
    timeline: "Timeline", "时间线";
    bars: "Where the time went", "时间分布";
    raw: "Raw entry", "原始条目";
    hash: "Hash", "哈希";
    message: "Its sender's id", "发送方编号";
    producer: "Sent by", "发送方";
    promise: "Promised by", "承诺时限";
    expires: "Expires", "过期时间";
    turn: "Turn", "顺位";
    turn_waits: "waits until those before it have ended", "等待前面的请求结束";
    attempts: "Attempts", "尝试次数";
    attempts_of: "{} of {}; {} left", "已尝试 {} 次，上限 {} 次，剩余 {} 次";
    attempts_until: ", the last one by {}", "，最晚于 {} 开始";
    wake: "Looked at again", "下次处理";
    parked_under: "Parked under", "搁置于";
    review_open: "A person is asked", "等待人工复核";
    to_review: "Open the review", "打开复核";
    person: "A person decided something", "有人工参与";
    automatic: "No person was needed", "全程自动";
    acts: "What can be done", "可执行操作";
    withdraw: "Withdraw", "撤回";
    withdraw_why: "Why (may stay empty; part of the ledger for ever)", "原因（可不填；将永久保留在账簿中）";
    withdraw_hint: "Takes the request back. What was applied is undone; after the first effect that cannot be undone it is too late.", "撤回该请求：已生效的操作会被撤销；若已执行不可撤销的操作则无法撤回。";
    withdraw_sure: "Withdraw this request", "确认撤回该请求";
    retry: "Try again now", "立即重试";
    retry_hint: "Does at once what would be tried again later.", "立即执行原定稍后重试的步骤。";
    move_to_review: "Put it to a person", "转人工复核";
    move_hint: "Opens a question; say what is to be looked at.", "提交人工复核；请说明需要查看的内容。";
    add_note: "Add a note", "添加备注";
    note_hint: "Notes stay in the ledger for ever: nothing sensitive.", "备注会永久保留在账簿中，请勿填写敏感信息。";
    outcome_text: "What the customer reads", "客户看到的内容";
    asked: "The customer was asked", "已询问客户";
    until: "until {}", "截至 {}";
    looks: "Who has seen masked values", "谁查看过脱敏内容";
    no_looks: "Nobody has.", "无人查看。";
    more_entries: "Later entries", "后续条目";
    attempt_n: "attempt {}", "第 {} 次尝试";
    not_applied_act: "Not done: {}", "未执行：{}";
} }

impl Texts {
    /// A request's state.
    pub(in crate::console) fn state<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "queued" => k.queued,
            "running" => k.running,
            "waiting" => k.waiting,
            "parked" => k.parked,
            "in_review" => k.in_review,
            "done" => k.done,
            "refused" => k.refused,
            "withdrawn" => k.withdrawn,
            "expired" => k.expired,
            other => other,
        }
    }

    /// A role.
    pub(in crate::console) fn role<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "submitter" => k.submitter,
            "reviewer" => k.reviewer,
            "operator" => k.operator,
            "auditor" => k.auditor,
            "admin" => k.admin,
            other => other,
        }
    }

    /// What may be answered to a review.
    pub(in crate::console) fn choice<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "approve" => k.approve,
            "refuse" => k.refuse,
            "retry" => k.retry,
            "amend" => k.amend,
            "ask_customer" => k.ask_customer,
            "applied" => k.applied_choice,
            "not_applied" => k.not_applied_choice,
            other => other,
        }
    }

    /// What a step came to.
    pub(in crate::console) fn verdict<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "pass" => k.pass,
            "refuse" => k.refused,
            "review" => k.review,
            "failed" => k.failed,
            "applied" => k.applied,
            "not_applied" => k.not_applied,
            "unknown" => k.unknown,
            other => other,
        }
    }

    /// A review's state.
    pub(in crate::console) fn review_state<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "open" => k.open,
            "deciding" => k.deciding,
            "decided" => k.decided,
            "cancelled" => k.cancelled,
            other => other,
        }
    }

    /// A group's control state.
    pub(in crate::console) fn control<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "closed" => k.closed,
            "open" => k.breaker_open,
            "half_open" => k.half_open,
            "resuming" => k.resuming,
            "stopped" => k.stopped,
            other => other,
        }
    }

    /// A step's kind.
    pub(in crate::console) fn step_kind<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "verify" => k.verify,
            "execute" => k.execute,
            "wait" => k.wait,
            "review" => k.review_step,
            other => other,
        }
    }

    /// A kind of ledger entry.
    pub(in crate::console) fn fact<'a>(&self, word: &'a str) -> &'a str {
        let k = &self.kinds;
        match word {
            "accepted" => k.fact_accepted,
            "started" => k.fact_started,
            "verdict" => k.fact_verdict,
            "skipped" => k.fact_skipped,
            "failed" => k.fact_failed,
            "intent" => k.fact_intent,
            "result" => k.fact_result,
            "waiting" => k.fact_waiting,
            "callback" => k.fact_callback,
            "callback_ignored" => k.fact_callback_ignored,
            "review_opened" => k.fact_review_opened,
            "decided" => k.fact_decided,
            "supplemented" => k.fact_supplemented,
            "parked" => k.fact_parked,
            "resumed" => k.fact_resumed,
            "moved" => k.fact_moved,
            "turned_back" => k.fact_turned_back,
            "withdrawal_refused" => k.fact_withdrawal_refused,
            "noted" => k.fact_noted,
            "ended" => k.fact_ended,
            other => other,
        }
    }
}
