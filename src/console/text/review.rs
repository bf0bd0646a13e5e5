//! Texts of the inbox and the review page.

use super::texts;

texts! { Inbox {
    title: "Reviews", "复核";
    mine: "Mine", "我的";
    unassigned: "Unassigned", "待领取";
    team: "Team", "全部待处理";
    second: "Second approval", "待二次确认";
    snoozed: "Put aside", "已暂缓";
    done: "Done by me", "我已处理";
    next: "Take the next one", "领取下一项";
    question: "Question", "问题";
    left: "Time left", "剩余时间";
    age: "Asked", "提出时间";
    assignee: "Assigned to", "处理人";
    nobody: "nobody", "无";
    me: "you", "您";
    decision: "Decision", "决定";
    empty_mine: "You have claimed nothing.", "您尚未领取任何复核。";
    empty_unassigned: "Nothing waits for a reviewer. Good.", "没有待领取的复核。";
    empty_team: "No question is open.", "没有待处理的问题。";
    empty_second: "Nothing waits for a second person.", "没有待二次确认的复核。";
    empty_snoozed: "Nothing is put aside.", "没有已暂缓的复核。";
    empty_done: "You have decided nothing yet.", "您尚未作出决定。";
    empty_hint: "This page follows what happens; what comes in shows up here.", "页面会自动更新，新的复核会显示在此处。";
    four_eyes: "four eyes", "双人复核";
    escalated: "escalated", "已升级";
    first_by: "first: {}", "首次决定：{}";
} }

texts! { Review {
    title: "Review", "复核";
    held_mine: "You decided: {}. It takes effect {}.", "您已决定：{}，将于 {} 生效。";
    held: "{} decided, and can take it back. It takes effect {}.", "{} 已决定，尚可撤回，将于 {} 生效。";
    snoozed: "{} put it aside until {}: {}", "{} 已暂缓至 {}：{}";
    wake: "Take it up again", "恢复处理";
    snooze: "Put aside", "暂缓";
    snooze_for: "For how long", "暂缓多久";
    snooze_why: "Why", "原因";
    undecided: "The clause that did not decide it", "未能自动判定的条款";
    expected: "It would have passed by itself with", "满足以下条件可自动通过";
    raised_by: "Raised by step {} of {}", "由 {} 步骤（{}）提出";
    evidence: "Evidence", "证据";
    failed_only: "Only what did not pass", "仅显示未通过";
    col_clause: "Clause", "条款";
    col_seen: "Seen", "所见";
    col_rule: "Expected", "预期";
    col_verdict: "Verdict", "结论";
    col_when: "When", "时间";
    no_rule: "no rule matched", "无规则命中";
    status: "status {}", "状态码 {}";
    no_evidence: "Nothing was checked yet.", "尚无核验记录。";
    request: "The request", "请求内容";
    reveal: "Show", "显示";
    reveal_why: "Why do you have to see it? This is recorded with your name.", "请说明查看原因，将连同您的姓名一并记录。";
    reveal_hint: "It is shown once and hidden again after 30 seconds.", "仅显示一次，30 秒后自动隐藏。";
    reveal_do: "Record and show", "记录并显示";
    shown: "shown to you; recorded", "已向您显示，并已记录";
    others: "This customer's other requests", "该客户的其他请求";
    no_others: "There are none.", "没有其他请求。";
    notes: "Notes", "备注";
    no_notes: "No notes.", "暂无备注。";
    note_add: "Add a note", "添加备注";
    note_hint: "Part of the ledger for ever: nothing sensitive.", "备注会永久保留在账簿中，请勿填写敏感信息。";
    timeline: "Timeline", "时间线";
    claimed_by_me: "You work on this until {}.", "您正在处理，有效至 {}。";
    claimed_by: "{} works on this until {}.", "{} 正在处理，至 {}。";
    claim: "Claim", "领取";
    release: "Give back", "退回";
    take_over: "Take over", "接手";
    take_over_why: "Why do you take it over?", "请说明接手原因";
    escalate: "Escalate", "升级";
    escalate_why: "What should somebody else look at?", "请说明需要他人查看的内容";
    decide: "Your decision", "您的决定";
    ask_note: "Why? For “ask the customer”: the question, as they will read it.", "请说明理由；“询问客户”时请填写客户将看到的问题。";
    reason: "Reason of the refusal", "拒绝原因";
    customer_reads: "The customer will read", "客户将看到";
    nothing_to_read: "This process has no text for this reason.", "该原因没有面向客户的文本。";
    change: "New values; leave empty what stays", "新值；无需修改的留空";
    send: "Decide", "提交决定";
    send_next: "Decide and take the next one", "提交并领取下一项";
    keep_open: "Claim it to decide.", "领取后即可作出决定。";
    not_yours: "You may look, but not decide: this question is for reviewers{}.", "您可以查看但不能决定：该问题面向复核员{}。";
    with_role: " with the role {}", "（角色 {}）";
    first_you: "You have decided first. A second person must come to the same decision.", "您已首先作出决定，需由另一人作出相同决定。";
    first_other: "{} has decided. What they decided is not shown, so that you judge for yourself; if you come to the same, it is applied.", "{} 已作出决定。为便于您独立判断，此处不显示其内容；若决定一致即生效。";
    decided: "Decided: {} by {}", "已决定：{}，由 {} 作出";
    decided_both: "Decided: {} by {} and {}", "已决定：{}，由 {} 和 {} 作出";
    cancelled: "This is not asked any more: the request went on without an answer.", "该问题已取消：请求已无需答复。";
    deciding: "The decision is on its way to the request.", "决定正在送达请求。";
    stale: "This has changed since you looked", "内容在您查看后已变化";
    stale_text: "Nothing of what you sent was done. What you wrote is kept below; look at the difference and decide anew.", "您的提交未生效。已保留您填写的内容；请查看差异后重新决定。";
    you_wrote: "You wrote", "您填写的内容";
    you_saw: "You saw", "您所见";
    it_is: "It is now", "现为";
    not_done: "Not done", "未执行";
    choose_one: "Choose an answer.", "请选择一项。";
    note_missing: "Say why.", "请填写理由。";
    reason_missing: "Choose a reason.", "请选择原因。";
    fields_missing: "Enter at least one new value.", "请至少填写一个新值。";
    version_row: "Version of the question", "问题版本";
    state_row: "State", "状态";
    holder_row: "Assigned to", "处理人";
} }

texts! { Together {
    title: "Decided together", "批量决定";
    link: "Decide {} together: {}", "批量决定 {} 项：{}";
    these: "These reviews, and no others", "仅限以下复核";
    count: "{} wait for an answer", "{} 项待答复";
    frozen: "Each is decided by itself with the same words. One that changes before that is skipped.", "每项单独提交，使用相同理由；提交前已变化的会被跳过。";
    reason: "Reason, where you refuse", "拒绝时的原因";
    note: "Why?", "理由";
    confirm: "More than ten: type how many you decide.", "超过十项：请输入决定的数量。";
    send: "Decide all that are ticked", "决定所有勾选项";
    none_picked: "Tick at least one.", "请至少勾选一项。";
    count_differs: "The number that you typed is not how many are ticked.", "输入的数量与勾选数量不一致。";
    summary: "{} decided, {} under way, {} skipped, {} failed", "已决定 {} 项，进行中 {} 项，跳过 {} 项，失败 {} 项";
    came_to: "What became of it", "结果";
    because: "Why", "原因";
    done: "decided", "已决定";
    pending: "stored", "已保存";
    second: "a second person must decide", "需另一人决定";
    set_aside: "the first person decided otherwise", "与首次决定不同";
    skipped: "skipped", "已跳过";
    failed: "failed", "失败";
    time_over: "It took too long; decide those that are left again.", "耗时过长，请重新提交剩余项。";
} }

texts! { Views {
    title: "Views", "共享视图";
    list: "Views for everybody", "共享视图";
    hint: "Filters of the inbox with a name, for everybody. Who saved one may change it, and so may operators.", "收件箱筛选条件的命名视图，所有人可见。保存者和运维人员可以修改。";
    none: "No view is saved.", "尚未保存任何视图。";
    manage: "All views", "管理视图";
    save_as: "Save as a view", "保存为视图";
    name: "A name that everybody will see: nothing about customers", "名称对所有人可见，请勿包含客户信息";
    save: "Save", "保存";
    change: "Change", "修改";
    new_name: "New name of", "新名称：";
    rename: "Rename", "重命名";
    remove: "Remove", "移除";
    exists: "There is a view of this name already.", "已有同名视图。";
} }
