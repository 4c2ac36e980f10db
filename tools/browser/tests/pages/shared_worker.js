fetch('/sent/shared', {method: 'POST', body: 'x'}); fetch('/logout?shared');
