//! Texts of the operators' and auditors' pages.

use super::texts;

texts! { Overview {
    title: "Overview", "概览";
    window: "Window", "时间范围";
    quarter: "15 minutes", "15 分钟";
    hour: "1 hour", "1 小时";
    day: "24 hours", "24 小时";
    week: "7 days", "7 天";
    automation: "Automation rate", "自动化率";
    automation_under: "of {} ended needed no person", "{} 个已结束请求中无需人工的比例";
    received: "Received", "已接收";
    done: "Done", "已完成";
    refused: "Refused", "已拒绝";
    open: "Open", "未结束";
    otherwise: "Ended otherwise", "其他结束";
    p50: "Half within", "半数用时不超过";
    p95: "95 of 100 within", "95% 用时不超过";
    in_review: "In review", "复核中";
    parked: "Parked", "已搁置";
    waiting: "Waiting", "等待中";
    running: "Running", "进行中";
    queued: "Queued", "排队中";
    since_start: "in all", "累计";
    still_open: "open", "未结束";
    in_window: "in the window", "在所选范围内";
    now: "at this moment", "当前";
    balance: "The books", "账目";
    holds: "Every accepted request is in exactly one place.", "每个已受理的请求都恰好处于一种状态。";
    differs: "The books do not add up: {} requests are missing or counted twice.", "账目不平：有 {} 个请求缺失或重复。";
    rejected: "Messages that were no requests", "不是请求的消息";
    unpublished: "Events not published yet", "尚未发布的事件";
    overdue: "Overdue and looked after by nobody", "超时且无人处理";
    outcomes: "Outcomes by time of acceptance", "按受理时间统计的结果";
    times: "Time to outcome", "得出结果的用时";
    by_process: "By process", "按流程";
    by_step: "Where open requests stand", "未结束请求所在步骤";
    asked_for: "What people are asked", "需人工的问题";
    refused_for: "Why requests were refused", "拒绝原因";
    other: "withdrawn or expired", "撤回或过期";
    legend_p50: "half", "半数请求";
    legend_p95: "95 of 100", "95% 的请求";
    cut: "Only the newest {} requests of the window are counted.", "仅统计范围内最新的 {} 个请求。";
    trouble: "Needs attention", "需要关注";
    calm: "Nothing needs attention.", "一切正常。";
    dependency_down: "{}: {}; requests that wait for it: {}", "{}：{}；等待它的请求：{}";
    defect_open: "Parked under a defect of {}: {}", "因 {} 的缺陷被搁置的请求：{}";
    reviews_late: "Overdue reviews: {}", "已超时的复核：{}";
    no_worker: "No worker is running: nothing is carried out.", "没有工作进程在运行：请求不会被处理。";
    worker_late: "Worker {} was last heard of {}", "工作进程 {} 上次心跳：{}";
    from: "From", "起始";
} }

texts! { Defects {
    title: "Defects", "缺陷";
    title_one: "Defect", "缺陷";
    empty: "No defect has been seen.", "未发现缺陷。";
    empty_hint: "When a target changes its contract or our code fails, requests are parked here, grouped by what went wrong.", "目标系统变更契约或程序出错时，请求会按故障归组并搁置在此。";
    what: "What went wrong", "故障";
    parked: "Parked now", "当前搁置";
    seen: "Seen", "出现次数";
    first: "First seen", "首次出现";
    last: "Last seen", "最近出现";
    where_: "Where", "位置";
    example: "An example, without values", "示例（不含具体值）";
    fingerprint: "Fingerprint", "指纹";
    connector: "Connector", "连接器";
    class: "Class", "类别";
    code: "Code", "代码";
    status: "Status", "状态码";
    sample: "One request that has it", "一个示例请求";
    version: "Last seen in version", "最近出现的版本";
    requests: "Parked requests", "被搁置的请求";
    all_requests: "All of them", "查看全部";
    none_parked: "Nothing is parked under it.", "没有请求因此搁置。";
    resume: "Resume", "恢复";
    resume_hint: "After the fix: one request goes first; when it gets through, the others follow at this pace. If it comes back, nobody else moves.", "修复之后：先放行一个请求；若通过，其余按以下速度跟进；若再次失败，其余保持不动。";
    rate: "Requests per second", "每秒请求数";
    to_version: "Move to version first", "先迁移到版本";
    keep_version: "stay on their version", "保持原版本";
    resume_n: "Resume {} requests", "恢复 {} 个请求";
    progress: "Resuming", "恢复进度";
    canary: "The first one", "先行请求";
    resumed_by: "{} since {}", "{}，开始于 {}";
    arrivals: "{} requests were parked after this resume began; they are not part of it.", "恢复开始之后又有 {} 个请求被搁置，不在本次恢复范围内。";
    stopped: "The first one came back, so nobody else moved. Look at it, mend the cause, and resume again.", "先行请求再次失败，其余未放行。请查看原因并修复后重试。";
    trend: "Parked requests by when they were accepted", "被搁置请求的受理时间分布";
    report: "For a bug report", "缺陷报告";
} }

texts! { Dependencies {
    title: "Dependencies", "依赖";
    empty: "No process calls another system.", "没有流程调用其他系统。";
    parked: "Waiting for it", "等待中";
    failures: "Failed in a row", "连续失败";
    processes: "Called by", "调用方";
    why: "Why", "原因";
    changed: "Changed", "变更";
    probe: "Next try", "下次试探";
    trip: "Stop calling it", "停止调用";
    trip_hint: "Requests that need it are parked until it is let through again.", "需要它的请求会被搁置，直到恢复调用。";
    reset: "Let calls through", "恢复调用";
    reset_hint: "What is parked comes back, one first.", "搁置的请求将恢复，先放行一个。";
    reason: "Reason", "原因";
} }

texts! { Workers {
    title: "Workers", "工作进程";
    started: "Started", "启动时间";
    heartbeat: "Last heartbeat", "最近心跳";
    here: "answers this page", "当前页面由其提供";
    late: "silent", "无响应";
    fine: "alive", "正常";
    incarnation: "Incarnation", "实例编号";
    empty: "No worker is registered.", "没有已注册的工作进程。";
} }

texts! { Processes {
    title: "Processes", "流程";
    empty: "No process is published.", "尚未发布流程。";
    owner: "Owner", "负责团队";
    promise: "Promise", "承诺";
    expires: "Expires after", "过期时间";
    digest: "Digest", "摘要";
    versions: "Versions", "版本";
    diagram: "How it goes", "流程图";
    steps: "Steps", "步骤";
    clause: "Clause", "条款";
    calls: "Calls", "调用";
    only_when: "Only when", "条件";
    undo: "can be undone", "可撤销";
    fields: "Fields of a request", "请求字段";
    kind: "Kind", "类型";
    required: "required", "必填";
    sensitive: "masked", "脱敏";
    questions: "Questions to people", "人工问题";
    due: "Time to answer", "答复时限";
    reasons: "Reasons of refusal", "拒绝原因";
    done_when: "outcome verified", "验证结果";
    start: "accepted", "受理";
    accepted_end: "done", "完成";
    open_now: "{} open", "{} 个未结束";
    requests: "Its requests", "该流程的请求";
} }

texts! { Versions {
    rules: "Rules", "规则";
    clauses: "What its clauses decided", "条款判定统计";
    difference: "Differences", "版本差异";
    all_of: "All {} requests of this version that were accepted in the window; each counts once for each clause.", "该版本在所选范围内受理的全部 {} 个请求；每个请求在每个条款下计一次。";
    newest_of: "The newest {} requests of this version in the window; there are more. Each counts once for each clause.", "该版本在所选范围内最新的 {} 个请求（还有更多）；每个请求在每个条款下计一次。";
    none: "No request of this version was accepted in this window.", "该版本在所选范围内没有受理请求。";
    passed: "Passed, done", "通过或完成";
    asked: "To a person", "转人工";
    skipped: "Skipped", "跳过";
    stopped: "Parked by a defect", "因缺陷搁置";
    why: "Reasons, questions and answers", "原因、问题与答复";
    answered: "People answered:", "人工答复：";
    undone: "reversed", "已撤销";
    from: "Earlier version", "较早版本";
    to: "Later version", "较新版本";
    compare: "Compare", "比较";
    same: "Versions {} and {} say the same.", "版本 {} 与 {} 内容相同。";
    differs: "What changed from version {} to version {}", "从版本 {} 到版本 {} 的变化";
    alone: "Only one version of this process is known: there is nothing to compare.", "该流程只有一个版本，无可比较。";
    added: "added", "新增";
    removed: "removed", "删除";
    changed: "changed", "修改";
    process: "Process", "流程";
    step: "Step", "步骤";
    reason: "Reason", "原因";
    question: "Question", "问题";
    place: "Place", "位置";
    before: "Before", "之前";
    after: "After", "之后";
    change: "Change", "变化";
    lines: "Line by line", "逐行比较";
} }

texts! { Decisions {
    title: "Decisions", "决定";
    who_decided: "Who decided", "谁作出决定";
    who_saw: "Who saw what", "谁查看了什么";
    who_did: "What else was done", "其他操作";
    empty_acts: "Nothing else has been done.", "尚无其他操作。";
    did: "What", "操作";
    about: "About", "相关";
    detail: "Detail", "详情";
    decision_undone: "took a decision back", "撤回了决定";
    review_snoozed: "put a review aside", "暂缓了复核";
    until: "until {}", "至 {}";
    review_woken: "took up what was put aside", "恢复了已暂缓的复核";
    review_taken_over: "took a review over", "接管了复核";
    review_released: "gave a review back", "释放了复核";
    review_escalated: "escalated a review", "上报了复核";
    dependency_tripped: "stopped calls of a dependency", "停止调用依赖系统";
    dependency_reset: "let calls of a dependency through", "恢复调用依赖系统";
    group_resumed: "resumed what was parked", "恢复了被搁置的请求";
    view_saved: "saved a view", "保存了视图";
    view_renamed: "renamed a view", "重命名了视图";
    view_removed: "removed a view", "移除了视图";
    batch_stopped: "stopped a batch", "停止了批量决定";
    by: "By", "决定人";
    first: "first:", "首次决定：";
    empty: "Nobody has decided anything yet.", "尚无人工决定。";
    empty_looks: "Nobody has looked behind a mask.", "无人查看过脱敏内容。";
    why: "Why", "理由";
    field: "Value", "字段";
    person: "Person", "人员";
    export: "Download as CSV", "下载 CSV";
    from: "From", "起始日期";
    to: "Until", "截止日期";
} }

texts! { Ledger {
    title: "Ledger", "账簿";
    text: "Each entry carries the hash of the one before. An entry that was edited, removed or moved is found here.", "每条记录都含有前一条的哈希；被修改、删除或移动的记录会在此被发现。";
    verify: "Verify the newest {} requests", "校验最新的 {} 个请求";
    older: "Verify older ones", "校验更早的请求";
    whole: "{} requests, {} entries: every chain verifies.", "{} 个请求、{} 条记录：全部校验通过。";
    broken: "{} of {} requests have a broken record.", "{} 个（共 {} 个）请求的记录已损坏。";
    entry: "Entry", "条目";
    problem: "What is wrong", "问题";
    one: "One request", "单个请求";
    one_hint: "A request's id", "请求编号";
    verify_one: "Verify", "校验";
    all: "The command line verifies all of them:", "命令行可校验全部：";
    export: "Download its record", "下载记录";
    none: "There is no request yet.", "尚无请求。";
    unknown: "There is no request with this id.", "没有此编号的请求。";
} }
